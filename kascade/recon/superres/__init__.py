"""Through-plane super-resolution: volumes of thick slices in, fine volumes out."""

from __future__ import annotations

from kascade.recon.superres.grid import FineGrid, fine_grid
from kascade.recon.superres.volume import resimulation_error, super_resolve

__all__ = ["FineGrid", "fine_grid", "resimulation_error", "super_resolve"]
