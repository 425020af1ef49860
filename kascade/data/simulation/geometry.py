"""Where the pixels of a simulated image lie: field of view, matrix, orientation of the slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError

__all__ = ["ORIENTATIONS", "check_matrix", "check_orientation", "field_of_view", "pixel_positions"]

# Which way columns, rows and slices run in the frame of the coils: x to the patient's left, which is the right of an
# axial image, y to the nose, z to the vertex.
ORIENTATIONS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "axial": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
}


def field_of_view(fov_mm: float | Sequence[float]) -> tuple[float, float]:
    """Field of view (along rows, along columns) of one number for both, or two.

    Raises
    ------
    ConfigError
        If it is not one or two positive lengths.
    """
    fov = (float(fov_mm),) * 2 if isinstance(fov_mm, (int, float)) else tuple(float(f) for f in fov_mm)
    if len(fov) != 2 or not all(math.isfinite(f) and f > 0 for f in fov):
        raise ConfigError(f"fov_mm is {fov_mm}: expected one or two positive lengths in mm")
    return fov[0], fov[1]


def check_matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of `shape`.

    Raises
    ------
    ShapeError
        If it is not two positive integers.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ShapeError(f"shape {tuple(shape)}: expected (rows, columns), both at least 1")
    return shape[0], shape[1]


def check_orientation(name: str) -> str:
    """The orientation itself.

    Raises
    ------
    ConfigError
        If it is not a key of `ORIENTATIONS`.
    """
    if name not in ORIENTATIONS:
        raise ConfigError(f"unknown orientation {name!r}: choose one of {', '.join(ORIENTATIONS)}")
    return name


def pixel_positions(
    shape: Sequence[int],
    fov_mm: float | Sequence[float],
    slice_position_mm: float = 0.0,
    orientation: str = "axial",
) -> Tensor:
    """Centers of the pixels of a slice in the frame of the coils.

    Parameters
    ----------
    shape : sequence of int
        (rows, columns).
    fov_mm : float or sequence of float
        Field of view (along rows, along columns); pixel (rows // 2, columns // 2) is at its center.
    slice_position_mm : float
        Distance of the slice from the center of the coils: upward, to the nose, or to the patient's right.
    orientation : str
        A key of `ORIENTATIONS`.

    Returns
    -------
    Tensor
        float64, shape (rows, columns, 3), in mm.

    Raises
    ------
    ShapeError
        If `shape` is not two positive integers.
    ConfigError
        If another argument has no meaning.
    """
    fov = field_of_view(fov_mm)
    check_matrix(shape)
    check_orientation(orientation)
    if not math.isfinite(slice_position_mm):
        raise ConfigError(f"slice_position_mm is {slice_position_mm}: expected a finite number")
    rows, columns = ((torch.arange(n, dtype=torch.float64) - n // 2) * (f / n) for n, f in zip(shape, fov, strict=True))
    across, down, through = (torch.tensor(axis, dtype=torch.float64) for axis in ORIENTATIONS[orientation])
    positions: Tensor = columns[None, :, None] * across + rows[:, None, None] * down + slice_position_mm * through
    return positions
