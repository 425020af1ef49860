"""Reconstruction methods by name: Scan -> Reconstruction."""

from __future__ import annotations

from kascade.recon.method import Method, Progress, Reconstruction, get_method, methods

__all__ = ["Method", "Progress", "Reconstruction", "get_method", "methods"]
