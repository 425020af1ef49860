"""Whether the parts of a scan fit each other: k-space, mask, maps, target, motion, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kascade.errors import FileFormatError, ShapeError

if TYPE_CHECKING:
    from kascade.data.scan import Scan

__all__ = ["TARGETS", "check_mask", "check_parts"]

TARGETS = ("reconstruction_rss", "reconstruction_esc")


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a mask that does not fit k-space of `shape` (slices, coil, rows, columns)."""
    rows, columns = shape[-2:]
    if tuple(mask.shape) not in ((columns,), (rows, columns)):
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)}, k-space has {rows} rows and {columns} columns; expected "
            f"(columns,) = ({columns},) or (rows, columns) = ({rows}, {columns})"
        )
    if not torch.isfinite(mask).all() or bool((mask < 0).any()):
        raise ShapeError("mask holds negative or not finite values; expected 0 and 1, or weights")


def check_parts(scan: Scan) -> None:
    """Refuse parts that do not fit each other."""
    slices, coils, rows, columns = scan.kspace.shape
    if scan.target_name not in TARGETS:
        raise ShapeError(f"target_name is {scan.target_name!r}; expected one of {', '.join(TARGETS)}")
    if scan.mask is not None:
        check_mask(scan.mask, scan.kspace.shape)
    if scan.maps is not None:
        shape = scan.maps.shape
        if len(shape) not in (4, 5) or shape[0] != slices or shape[-3:] != (coils, rows, columns):
            raise ShapeError(
                f"maps have shape {shape}; expected (slices, [set,] coil, rows, columns) = ({slices}, [set,] {coils}, "
                f"{rows}, {columns}) as k-space"
            )
    if scan.targets is not None and (len(scan.targets.shape) != 3 or scan.targets.shape[0] != slices):
        raise ShapeError(f"target has shape {scan.targets.shape}; expected (slices, rows, columns), {slices} slices")
    _check_motion(scan, columns)
    for what, noise in (("noise", scan.noise), ("noise_covariance", scan.noise_covariance)):
        if noise is not None and (noise.ndim != 2 or noise.shape[0] != coils):
            raise ShapeError(f"{what} has shape {tuple(noise.shape)}; expected {coils} coils first, and two axes")
        if noise is not None and not torch.isfinite(noise.sum()):
            raise FileFormatError(f"{what} of {scan.name} holds NaN or Inf; expected finite values")
    if scan.noise_covariance is not None and scan.noise_covariance.shape[1] != coils:
        raise ShapeError(f"noise_covariance has shape {tuple(scan.noise_covariance.shape)}; expected {(coils, coils)}")


def _check_motion(scan: Scan, columns: int) -> None:
    if scan.shots is not None and tuple(scan.shots.shape) != (columns,):
        raise ShapeError(f"shots have shape {tuple(scan.shots.shape)}; expected one per column, ({columns},)")
    if scan.shots is not None and int(scan.shots.min()) < -1:
        raise ShapeError(f"shot names shot {int(scan.shots.min())}; expected shots from 0, or -1 for a column without")
    if scan.motion is None:
        return
    if scan.motion.ndim != 2 or scan.motion.shape[1] not in (3, 6):
        raise ShapeError(f"motion has shape {tuple(scan.motion.shape)}; expected (shots, 3) or (shots, 6)")
    if not torch.isfinite(scan.motion).all():
        raise FileFormatError(f"motion of {scan.name} holds NaN or Inf; expected px and degrees")
    if scan.shots is not None and int(scan.shots.max()) + 1 != len(scan.motion):
        raise ShapeError(
            f"shot names shots 0 to {int(scan.shots.max())}, but motion has {len(scan.motion)} rows; expected one for "
            "each shot"
        )
