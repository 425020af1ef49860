"""CUDA kernels of Kascade's own, through CuPy: E^H E of SENSE and the vector updates of conjugate gradients.

Nobody calls them by name: `SenseGram` and `conjugate_gradient` use them for complex64 tensors on a GPU where CuPy
works, and torch elsewhere.
"""

from __future__ import annotations

from kascade.physics.kernels.launch import Status, fit, status, use_kernels

__all__ = ["Status", "fit", "status", "use_kernels"]
