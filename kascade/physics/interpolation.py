"""Cubic spline interpolation along one axis, as a matrix: the simplest way from thick slices to a fine grid."""

# mypy: untyped-calls-exclude="scipy"

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kascade.errors import ConfigError
from kascade.physics.thick_slices import along_axis

__all__ = ["cubic_interpolation"]


def cubic_interpolation(
    y: Tensor, factor: int, axis: int = -1, *, length: int | None = None, first: float = 0.0
) -> Tensor:
    """Interpolate thick slices to a fine grid by the cubic spline through them.

    Parameters
    ----------
    y : Tensor
        Real or complex, slices along `axis`.
    factor : int
        Distance of slices, in positions of the fine grid.
    axis : int
        Counted from the end.
    length : int, optional
        Fine positions; `factor` times the number of slices by default.
    first : float
        Fine position of the first slice's center.

    Returns
    -------
    Tensor
        As `y`, with `length` positions along `axis`. Before the first and after the last center the slice there is
        repeated: nothing is extrapolated.

    Raises
    ------
    ConfigError
        If `factor` is below 1.
    """
    if factor < 1:
        raise ConfigError(f"factor {factor}: expected 1 or more")
    count = y.shape[axis]
    matrix = _spline_matrix(count, factor, factor * count if length is None else length, first)
    return along_axis(matrix.to(y.device, y.real.dtype), y, axis)


def _spline_matrix(count: int, factor: int, length: int, first: float) -> Tensor:
    """Values at fine positions of the splines through the unit vectors, float64 (length, count)."""
    from scipy.interpolate import make_interp_spline

    if count == 1:
        return torch.ones(length, 1, dtype=torch.float64)
    centers = first + factor * np.arange(count)
    spline = make_interp_spline(centers, np.eye(count), k=min(3, count - 1))
    return torch.from_numpy(spline(np.clip(np.arange(length), centers[0], centers[-1])))
