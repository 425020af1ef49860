"""Restoration of magnitude images: networks as configuration, their weights files, and volumes restored by them."""

from __future__ import annotations

from kascade.recon.restoration.config import RestorationConfig, build_network
from kascade.recon.restoration.weights import RestorationModel, load_restorer, save_restorer

__all__ = [
    "RestorationConfig",
    "RestorationModel",
    "build_network",
    "load_restorer",
    "save_restorer",
]
