"""Kascade: physics-first MRI reconstruction, from raw k-space to the image."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
