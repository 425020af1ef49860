"""What a mask says: which samples k-space holds, its true acceleration, its fully sampled center."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError

__all__ = ["acs_columns", "acs_rectangle", "infer_mask", "true_acceleration"]


def infer_mask(kspace: Tensor | Iterable[Tensor]) -> Tensor | None:
    """Mask of the samples that were acquired: a position is missing where every coil and slice is exactly zero.

    Parameters
    ----------
    kspace : Tensor or iterable of Tensor
        Complex k-space (..., rows, columns), or its slices one after the other, so that a scan need not be in memory
        as a whole.

    Returns
    -------
    Tensor or None
        Float32 zeros and ones: (columns,) where the sampling is the same for all rows, else (rows, columns). None if
        every position was sampled.

    Raises
    ------
    ConfigError
        If every sample is zero.
    ShapeError
        If a part has fewer than two axes, or the parts differ in rows or columns.
    """
    parts = [kspace] if isinstance(kspace, Tensor) and kspace.ndim == 2 else kspace
    sampled: Tensor | None = None
    for part in parts:
        if part.ndim < 2:
            raise ShapeError(f"infer_mask: k-space of shape {tuple(part.shape)}; expected (..., rows, columns)")
        seen = (part != 0).reshape(-1, *part.shape[-2:]).any(0)
        if sampled is not None and seen.shape != sampled.shape:
            raise ShapeError(f"infer_mask: slices of {tuple(sampled.shape)} and {tuple(seen.shape)} samples differ")
        sampled = seen if sampled is None else sampled | seen
    if sampled is None or not sampled.any():
        raise ConfigError("infer_mask: every k-space sample is zero, so nothing was acquired; check the file")
    if sampled.all():
        return None
    column = sampled.any(0)
    return (column if bool((sampled == column).all()) else sampled).to(torch.float32)


def true_acceleration(mask: Tensor) -> float:
    """Acceleration as measured: number of positions divided by the number of sampled ones.

    Parameters
    ----------
    mask : Tensor
        Zero where not sampled, any shape; the center and padding count.

    Raises
    ------
    ConfigError
        If the mask samples nothing.
    """
    sampled = int(torch.count_nonzero(mask))
    if not sampled:
        raise ConfigError(f"mask of shape {tuple(mask.shape)} samples nothing, so it has no acceleration")
    return mask.numel() / sampled


def acs_columns(mask: Tensor) -> slice:
    """Autocalibration lines: the run of sampled columns that contains the central column, columns // 2.

    Parameters
    ----------
    mask : Tensor
        (columns,), or (rows, columns), whose columns of `acs_rectangle` are meant.

    Returns
    -------
    slice
        With start and stop; empty (start equals stop) where the central column is not sampled.

    Raises
    ------
    ShapeError
        If the mask has neither one nor two axes.
    """
    return acs_rectangle(mask[None] if mask.ndim == 1 else mask)[1]


def acs_rectangle(mask: Tensor) -> tuple[slice, slice]:
    """Autocalibration region of a 2-D mask: the fully sampled rectangle around the center of k-space.

    Of all fully sampled rectangles that contain the center, the one with the longest shorter side (that is what the
    size of a calibration kernel meets), then the largest area.

    Parameters
    ----------
    mask : Tensor
        Zero where not sampled, (rows, columns).

    Returns
    -------
    rows, columns : slice
        With start and stop; both empty where the center is not sampled.

    Raises
    ------
    ShapeError
        If the mask does not have two axes.
    """
    if mask.ndim != 2:
        raise ShapeError(f"mask has shape {tuple(mask.shape)}; expected (columns,) or (rows, columns)")
    sampled = mask != 0
    center_row, center_column = (n // 2 for n in sampled.shape)
    if not sampled[center_row, center_column]:
        return slice(center_row, center_row), slice(center_column, center_column)

    # Reach of every row from the central column to the right (one past the end) and to the left (first of the run),
    # then of every stack of rows from the central one downwards and upwards: the shortest of its rows.
    right = center_column + sampled[:, center_column:].int().cumprod(1).sum(1)
    left = center_column + 1 - sampled[:, : center_column + 1].flip(1).int().cumprod(1).sum(1)
    down_right, down_left = right[center_row:].cummin(0).values, left[center_row:].cummax(0).values
    up_right = right[: center_row + 1].flip(0).cummin(0).values
    up_left = left[: center_row + 1].flip(0).cummax(0).values
    width = torch.minimum(up_right[:, None], down_right) - torch.maximum(up_left[:, None], down_left)
    height = 1 + torch.arange(len(up_right))[:, None] + torch.arange(len(down_right))
    height = height.to(width.device)

    shorter, area = torch.minimum(width, height), (width * height).clamp(min=0)
    best = int((shorter * (mask.numel() + 1) + area).argmax())
    up, down = divmod(best, len(down_right))
    start = int(torch.maximum(up_left[up], down_left[down]))
    columns = slice(start, start + int(width[up, down]))
    return slice(center_row - up, center_row + down + 1), columns
