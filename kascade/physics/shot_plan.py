"""The fast path of multi-shot encoding: shots one after the other, only their own columns, no readout transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.rigid_motion import PADDING, Shear, adjoint_shears, motion_shears, run_shears

__all__ = ["ShotGroup", "ShotPlan", "make_plan"]

TOGETHER = 2**18  # samples of coil images that are worked on at once: they stay in the cache


@dataclass(frozen=True, eq=False)
class ShotGroup:
    """Columns of k-space that see the object in one position.

    Attributes
    ----------
    columns : Tensor
        Their numbers, int64 (n,).
    transform : Tensor
        Centered orthonormal DFT to these columns, each times its weight, complex (columns, n).
    shears : list of Shear or None
        Of the motion; None: the object is at rest.
    """

    columns: Tensor
    transform: Tensor
    shears: list[Shear] | None


@dataclass(frozen=True, eq=False)
class ShotPlan:
    """Multi-shot encoding of one 2-D slice, nothing recorded.

    Data are kept along columns in k-space and along rows in image space: a mask along columns leaves the transform of
    the readout out of every E.H E.

    Attributes
    ----------
    maps : Tensor
        Coil maps, complex (coil, rows, columns).
    groups : tuple of ShotGroup
        What is measured, each group apart.
    """

    maps: Tensor
    groups: tuple[ShotGroup, ...]

    def moved(self, x: Tensor, group: ShotGroup) -> Tensor:
        """The object as the group sees it, (rows, columns)."""
        return x if group.shears is None else run_shears(x, group.shears, self.maps.shape[-2:])

    def moved_back(self, x: Tensor, group: ShotGroup) -> Tensor:
        """Adjoint of `moved`."""
        return x if group.shears is None else run_shears(x, adjoint_shears(group.shears), self.maps.shape[-2:])

    def measure(self, image: Tensor, group: ShotGroup) -> Tensor:
        """Samples of a (moved) image, (coil, rows, n)."""
        samples = image.new_empty(*self.maps.shape[:-1], len(group.columns))
        for part in self._parts():
            torch.matmul(self.maps[part] * image, group.transform, out=samples[part])
        return samples

    def combine(self, samples: Tensor, group: ShotGroup) -> Tensor:
        """Adjoint of `measure`, (rows, columns)."""
        total = samples.new_zeros(self.maps.shape[-2:])
        for part in self._parts():  # conjugated until the end, so that conj(maps) is never formed
            total += (self.maps[part] * (samples[part].conj() @ group.transform.mT)).sum(0)
        return total.conj_physical_()

    def _parts(self) -> list[slice]:
        coils, rows, columns = self.maps.shape
        step = max(1, TOGETHER // (rows * columns))
        return [slice(first, first + step) for first in range(0, coils, step)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Samples of each group."""
        return [self.measure(self.moved(x, group), group) for group in self.groups]

    def adjoint(self, samples: Sequence[Tensor]) -> Tensor:
        """Adjoint of `forward`."""
        total = samples[0].new_zeros(self.maps.shape[-2:]) if samples else self.maps.new_zeros(self.maps.shape[-2:])
        for group, part in zip(self.groups, samples, strict=True):
            total += self.moved_back(self.combine(part, group), group)
        return total

    def gram(self, x: Tensor) -> Tensor:
        """`adjoint(forward(x))`, one group after the other."""
        total = torch.zeros_like(x)
        for group in self.groups:
            total += self.moved_back(self.combine(self.measure(self.moved(x, group), group), group), group)
        return total


def make_plan(
    maps: Tensor, motion: Tensor, columns: Sequence[Tensor], weights: Tensor, padding: float = PADDING
) -> ShotPlan:
    """Plan of shots that each have a motion of their own.

    Parameters
    ----------
    maps : Tensor
        Coil maps, complex (coil, rows, columns).
    motion : Tensor
        Real (shots, 3), as for `RigidMotion`.
    columns : sequence of Tensor
        Column numbers of each shot.
    weights : Tensor
        Real (columns,): the mask.
    padding : float
        As for `RigidMotion`.
    """
    n = maps.shape[-1]
    place = torch.arange(n, device=maps.device, dtype=torch.float64) - n // 2
    groups = []
    for parameters, own in zip(motion, columns, strict=True):
        turns = torch.outer(place, own.to(torch.float64) - n // 2) % n
        transform = torch.polar(torch.ones_like(turns), (-2 * math.pi / n) * turns) / math.sqrt(n)
        transform = (transform * weights[own]).to(maps.dtype)
        still = not bool(parameters.any())
        groups.append(ShotGroup(own, transform, None if still else motion_shears(parameters, maps.shape[-2:], padding)))
    return ShotPlan(maps, tuple(groups))
