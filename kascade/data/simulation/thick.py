"""Thick-slice volumes made of finely sampled ones: what `kascade simulate-thick` calls."""

from __future__ import annotations

import os
from dataclasses import replace

from torch import Tensor

from kascade.data.atomic import refuse_existing
from kascade.data.nifti import Volume, read_volume, write_volume
from kascade.errors import ConfigError
from kascade.physics import ThickSlices

__all__ = ["AXES", "axis_of", "simulate_thick", "simulate_thick_file", "thick_affine"]

AXES = ("x", "y", "z")
"""Of a RAS+ volume: across sagittal, coronal and axial slices."""


def axis_of(name: str) -> int:
    """Axis of a volume (x, y, z) by name, counted from the end.

    Raises
    ------
    ConfigError
        If it is none of x, y, z.
    """
    if name not in AXES:
        raise ConfigError(f"axis {name!r}; expected x (across sagittal slices), y (coronal) or z (axial)")
    return AXES.index(name) - 3


def simulate_thick(volume: Volume, factor: int, axis: str = "z", profile: str = "gaussian") -> Volume:
    """Measure a volume in thick slices, their centers at voxels 0, s, 2s, ... along an axis.

    Parameters
    ----------
    volume : Volume
        The fine grid.
    factor : int
        Distance s of slices, in voxels; 2 or more.
    axis : str
        "x", "y" or "z".
    profile : str
        As in `kascade.physics.thick_slices.profile_weights`.

    Returns
    -------
    Volume
        With ceil(n / s) voxels along the axis; its first slice has the center that it had before.

    Raises
    ------
    ConfigError
        If axis or profile are unknown, or the factor is below 2 or no smaller than the volume.
    """
    place = axis_of(axis)
    length = volume.data.shape[place]
    if not 2 <= factor < length:
        raise ConfigError(f"factor {factor}: expected 2 or more, and less than the {length} voxels along {axis}")
    E = ThickSlices.of(tuple(volume.data.shape), factor, place, profile)
    spacing = [mm * (factor if n == place + 3 else 1) for n, mm in enumerate(volume.spacing_mm)]
    return replace(
        volume,
        data=E(volume.data).contiguous(),
        affine=thick_affine(volume.affine, factor, place),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
    )


def thick_affine(affine: Tensor, factor: float, axis: int, first: float = 0.0) -> Tensor:
    """Affine of voxels `factor` times as long along an axis (counted from the end), the first centered at `first`."""
    column = axis + 3
    moved = affine.clone()
    moved[:, 3] += first * affine[:, column]
    moved[:, column] *= factor
    return moved


def simulate_thick_file(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    factor: int,
    axis: str = "z",
    profile: str = "gaussian",
    force: bool = False,
) -> Volume:
    """Read a NIfTI volume, and write what `simulate_thick` makes of it.

    Returns
    -------
    Volume
        As it was written; `problems` are those of the source.

    Raises
    ------
    FileFormatError
        If `source` cannot be read.
    ConfigError
        As `simulate_thick`.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    refuse_existing(path, force)
    thick = simulate_thick(read_volume(source), factor, axis, profile)
    write_volume(path, thick.data, like=thick, force=force)
    return thick
