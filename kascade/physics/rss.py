"""Root sum of squares."""

from __future__ import annotations

from torch import Tensor

__all__ = ["rss"]


def rss(x: Tensor, axis: int = -3) -> Tensor:
    """Root sum of squares over coils.

    Parameters
    ----------
    x : Tensor
        Coil images, real or complex, (..., coil, rows, columns).
    axis : int
        Axis to combine.

    Returns
    -------
    Tensor
        Real, without that axis.

    References
    ----------
    Roemer et al., The NMR phased array, MRM 16 (1990).
    """
    # Several times faster than torch.linalg.vector_norm along an axis that is not the last.
    power = x.real.square() + x.imag.square() if x.is_complex() else x.square()
    return power.sum(axis).sqrt()
