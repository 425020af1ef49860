"""The fast path of multi-shot encoding: each shot transforms only its own columns, and no readout is transformed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.rigid_motion import PADDING, Shear, adjoint_shears, motion_shears, run_shears

__all__ = ["ShotGroup", "ShotPlan", "make_plan", "shot_columns"]

TOGETHER = 2**18  # samples of coil images that are worked on at once: they stay in the cache


@dataclass(frozen=True, eq=False)
class ShotGroup:
    """Some shots that are worked on together.

    Attributes
    ----------
    shots : slice
        Which of the plan's shots.
    columns : list of Tensor
        Numbers of each one's columns, int64.
    transform : Tensor
        Centered orthonormal DFT to these columns, each times its weight, complex (shots, columns, n); zero where a shot
        has fewer than n.
    shears : list of Shear or None
        Of the motions; None: the object is at rest.
    """

    shots: slice
    columns: list[Tensor]
    transform: Tensor
    shears: list[Shear] | None


@dataclass(frozen=True, eq=False)
class ShotPlan:
    """Multi-shot encoding of one 2-D slice, nothing recorded.

    Data are kept along columns in k-space and along rows in image space, which leaves the transform of the readout out
    of every E.H E; those of a group are (shots, coil, rows, n).

    Attributes
    ----------
    maps : Tensor
        Coil maps, complex (coil, rows, columns).
    groups : tuple of ShotGroup
        All shots, in order.
    """

    maps: Tensor
    groups: tuple[ShotGroup, ...]

    def moved(self, x: Tensor, group: ShotGroup) -> Tensor:
        """The object as each shot sees it, (shots, rows, columns); `x` is one image, or one for each shot."""
        if group.shears is None:
            return x.expand(len(group.columns), *x.shape[-2:])
        return run_shears(x, group.shears, self.maps.shape[-2:])

    def moved_back(self, x: Tensor, group: ShotGroup) -> Tensor:
        """Adjoint of `moved` for one image, (rows, columns)."""
        if group.shears is not None:
            x = run_shears(x, adjoint_shears(group.shears), self.maps.shape[-2:])
        return x.sum(0)

    def measure(self, images: Tensor, group: ShotGroup) -> Tensor:
        """Samples of (moved) images (shots, rows, columns): (shots, coil, rows, n)."""
        transform = group.transform.unsqueeze(1)
        parts = [(self.maps[part] * images.unsqueeze(1)) @ transform for part in self._parts(group)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def combine(self, samples: Tensor, group: ShotGroup) -> Tensor:
        """Adjoint of `measure`, (shots, rows, columns)."""
        transform = group.transform.mT.unsqueeze(1)
        total = samples.new_zeros(len(group.columns), *self.maps.shape[-2:])
        for part in self._parts(group):  # conjugated until the end, so that conj(maps) is never formed
            total += (self.maps[part] * (samples[:, part].conj() @ transform)).sum(1)
        return total.conj_physical_()

    def _parts(self, group: ShotGroup) -> list[slice]:
        coils, rows, columns = self.maps.shape
        step = max(1, TOGETHER // (rows * columns * len(group.columns)))
        return [slice(first, first + step) for first in range(0, coils, step)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Samples of each group."""
        return [self.measure(self.moved(x, group), group) for group in self.groups]

    def adjoint(self, samples: Sequence[Tensor]) -> Tensor:
        """Adjoint of `forward`."""
        total = self.maps.new_zeros(self.maps.shape[-2:])
        for group, part in zip(self.groups, samples, strict=True):
            total += self.moved_back(self.combine(part, group), group)
        return total

    def gram(self, x: Tensor) -> Tensor:
        """`adjoint(forward(x))`, one group after the other."""
        total = torch.zeros_like(x)
        for group in self.groups:
            total += self.moved_back(self.combine(self.measure(self.moved(x, group), group), group), group)
        return total

    def gather(self, samples: Tensor) -> list[Tensor]:
        """Samples of all columns, (coil, rows, columns), as those of each group; a weight does not touch them."""
        gathered = []
        for group in self.groups:
            parts = samples.new_zeros(len(group.columns), *samples.shape[:-1], group.transform.shape[-1])
            for part, own in zip(parts, group.columns, strict=True):
                part[..., : len(own)] = samples[..., own]
            gathered.append(parts)
        return gathered

    def scatter(self, samples: Sequence[Tensor]) -> Tensor:
        """Adjoint of `gather`; columns of no shot are 0."""
        whole = self.maps.new_zeros(self.maps.shape)
        for group, parts in zip(self.groups, samples, strict=True):
            for part, own in zip(parts, group.columns, strict=True):
                whole[..., own] = part[..., : len(own)]
        return whole


def make_plan(
    maps: Tensor,
    motion: Tensor,
    columns: Sequence[Tensor],
    weights: Tensor,
    padding: float = PADDING,
    spacing: Sequence[float] = (),
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
    padding, spacing
        As for `RigidMotion`.
    """
    together = max(1, TOGETHER // maps.numel())
    groups = []
    for first in range(0, len(columns), together):
        shots = slice(first, first + together)
        own, parameters = list(columns[shots]), motion[shots]
        moves = bool(parameters.any())
        shears = motion_shears(parameters, maps.shape[-2:], padding, spacing) if moves else None
        groups.append(ShotGroup(shots, own, _transforms(own, weights, maps), shears))
    return ShotPlan(maps, tuple(groups))


def shot_columns(shots: Sequence[int], members: Sequence[Sequence[int]], weights: Tensor) -> list[Tensor]:
    """Numbers of the acquired columns (weight not 0) of several shots each, int64."""
    acquired = (weights != 0).tolist()
    chosen = [[c for c, shot in enumerate(shots) if shot in some and acquired[c]] for some in members]
    return [torch.tensor(numbers, dtype=torch.int64, device=weights.device) for numbers in chosen]


def _transforms(columns: Sequence[Tensor], weights: Tensor, maps: Tensor) -> Tensor:
    n = maps.shape[-1]
    place = torch.arange(n, device=maps.device, dtype=torch.float64) - n // 2
    transforms = maps.new_zeros(len(columns), n, max(len(own) for own in columns))
    for transform, own in zip(transforms, columns, strict=True):
        turns = torch.outer(place, own.to(torch.float64) - n // 2) % n
        dft = torch.polar(torch.ones_like(turns), (-2 * math.pi / n) * turns) / math.sqrt(n)
        transform[:, : len(own)] = dft * weights[own]
    return transforms
