"""The fine grid on which thick slices are restored, and where their centers lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.data.nifti import Volume
from kascade.data.simulation.thick import AXES, axis_of, thick_affine
from kascade.errors import ConfigError
from kascade.physics import ThickSlices

__all__ = ["FineGrid", "fine_grid"]

_CLEARLY_THICK = 1.5  # slice thickness over voxel size in the plane, from which the direction needs no telling
_TOLERANCE = 0.02  # fine voxels by which two grids may differ and still be called one


@dataclass(frozen=True)
class FineGrid:
    """Fine voxels behind a volume of thick slices.

    Attributes
    ----------
    shape : tuple of int
        (x, y, z) of the fine volume.
    axis : int
        Axis across the slices, counted from the end.
    factor : int
        Distance of slices, in fine voxels.
    first : float
        Fine position of the first slice's center.
    affine : Tensor
        float64 (4, 4) of the fine volume.
    """

    shape: tuple[int, int, int]
    axis: int
    factor: int
    first: float
    affine: Tensor

    def operator(self, count: int, columns: int, profile: str) -> ThickSlices:
        """How `count` thick slices see fine images (position along the axis, `columns`)."""
        return ThickSlices.of((self.shape[self.axis], columns), self.factor, -2, profile, first=self.first, count=count)

    def spacing_mm(self, thick: Volume) -> tuple[float, float, float]:
        """Size of the fine voxels behind `thick`."""
        spacing = list(thick.spacing_mm)
        spacing[self.axis] /= self.factor
        return spacing[0], spacing[1], spacing[2]


def fine_grid(thick: Volume, factor: int, axis: str | None = None, like: Volume | None = None) -> FineGrid:
    """Find the grid that a volume of thick slices is restored on.

    Parameters
    ----------
    thick : Volume
        The thick slices.
    factor : int
        Their distance in fine voxels.
    axis : str, optional
        "x", "y" or "z"; by default the direction in which voxels are clearly longest.
    like : Volume, optional
        A volume on the grid that is wanted, such as the one that the slices were simulated from. Without it the grid
        covers the field of view of the slices, `factor` voxels for each: for an odd factor exactly, for an even one
        it is moved by half a fine voxel, so that centers of slices are centers of fine voxels.

    Raises
    ------
    ConfigError
        If the axis is not clear, or `like` is not a grid `factor` times as fine with the same other axes.
    """
    if factor < 2:
        raise ConfigError(f"factor {factor}: expected 2 or more")
    place = _thickest(thick) if axis is None else axis_of(axis)
    if like is not None:
        return _grid_like(thick, factor, place, like)
    count = thick.data.shape[place]
    first = (factor - 1) // 2
    shape = [n * factor if k == place + 3 else n for k, n in enumerate(thick.data.shape)]
    fine = thick_affine(thick.affine, 1 / factor, place)
    fine = thick_affine(fine, 1, place, -first)
    assert shape[place] == count * factor
    return FineGrid((shape[0], shape[1], shape[2]), place, factor, float(first), fine)


def _thickest(thick: Volume) -> int:
    size = sorted(range(3), key=lambda n: thick.spacing_mm[n])
    if thick.spacing_mm[size[2]] < _CLEARLY_THICK * thick.spacing_mm[size[1]]:
        told = " x ".join(f"{mm:.3g}" for mm in thick.spacing_mm)
        raise ConfigError(f"{thick.name}: voxels of {told} mm are thick in no clear direction; say the axis: x, y or z")
    return size[2] - 3


def _grid_like(thick: Volume, factor: int, place: int, like: Volume) -> FineGrid:
    """Grid of `like`, once it is known that the slices lie on it."""
    if (thick.orientation == "???") != (like.orientation == "???"):
        raise ConfigError(
            f"{like.name} and {thick.name}: only one of them says where it lies; their grids cannot match"
        )
    between = torch.linalg.solve(like.affine, thick.affine)
    expected = thick_affine(torch.eye(4, dtype=torch.float64), factor, place, float(between[place + 3, 3]))
    shapes = [(a, b) for k, (a, b) in enumerate(zip(thick.data.shape, like.data.shape, strict=True)) if k != place + 3]
    if any(a != b for a, b in shapes) or thick.farthest(between - expected) > _TOLERANCE:
        raise ConfigError(
            f"{like.name} {tuple(like.data.shape)} is no grid {factor} times as fine as {thick.name} "
            f"{tuple(thick.data.shape)} along {AXES[place]} and equal otherwise; give the volume that the slices were "
            "simulated from, the factor and axis of that, or no grid at all"
        )
    first = round(float(between[place + 3, 3]), 6)
    shape = tuple(like.data.shape)
    return FineGrid((shape[0], shape[1], shape[2]), place, factor, first, like.affine.clone())
