"""The lines of a multi-shot acquisition: which shot has which, and those that are held out to judge an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.encoding import Encoding
from kascade.physics.shot_encoding import ShotEncoding
from kascade.physics.shot_plan import shot_columns
from kascade.physics.solvers import conjugate_gradient

__all__ = ["RIDGE", "Lines"]

RIDGE = 1e-3  # weight of the squared image in every solve
NEAR_CENTER = 4  # columns around the center that are never held out


@dataclass(frozen=True, eq=False)
class Lines:
    """Data of one slice, and which of their lines are used and which are held out.

    Attributes
    ----------
    y, maps : Tensor
        k-space and coil maps, complex (coil, rows, columns).
    shots : list of int
        Shot of each column.
    spacing : tuple of float
        Pixel sizes.
    count : int
        Number of shots.
    rest : int
        The shot that acquired the center of k-space, or that with the most signal.
    columns : list of Tensor
        Columns of each shot that are used.
    held : Tensor
        Columns that are held out, one of each shot that has three or more.
    """

    y: Tensor
    maps: Tensor
    shots: list[int]
    mask: Tensor
    spacing: tuple[float, float]
    count: int
    rest: int
    columns: list[Tensor]
    held: Tensor

    @classmethod
    def of(
        cls, y: Tensor, maps: Tensor, shots: Sequence[int] | Tensor, mask: Tensor | None, spacing: tuple[float, float]
    ) -> Lines:
        names = [int(shot) for shot in shots]  # columns of no shot are never used
        all_columns = y.shape[-1]
        if y.ndim != 3 or maps.shape != y.shape or len(names) != all_columns:
            raise ShapeError(
                f"estimate_motion: k-space is {tuple(y.shape)}, maps {tuple(maps.shape)}, shots ({len(names)},); "
                "expected (coil, rows, columns) twice, and (columns,)"
            )
        if mask is not None and tuple(mask.shape) != (all_columns,):
            raise ConfigError(
                f"estimate_motion: the mask is {tuple(mask.shape)}; expected (columns,) = ({all_columns},)"
            )
        weights = torch.ones(all_columns) if mask is None else mask
        count = max(names) + 1
        members = shot_columns(names, [[shot] for shot in range(count)], weights)
        empty = [shot for shot, own in enumerate(members) if not len(own)]
        if count < 2 or empty:
            raise ConfigError(
                f"estimate_motion: {count} shots, without acquired columns: {empty or 'none'}; expected two or more, "
                "each with columns of its own: mend the data set shot, or undersample less where a mask took them away"
            )
        rest = names[all_columns // 2]
        if rest < 0:
            rest = int(torch.stack([y[..., own].abs().square().sum() for own in members]).argmax())
        held = torch.tensor([_held_out(own, all_columns, shot) for shot, own in enumerate(members) if len(own) > 2])
        if not len(held):
            raise ConfigError(
                "estimate_motion: no shot has three columns or more, so that none can be held out to judge an "
                "estimate; expected fewer shots, or use motion that is known"
            )
        held = held.to(torch.int64)
        kept = [own[~torch.isin(own, held)] for own in members]
        return cls(y, maps, names, weights, spacing, count, rest, kept, held)

    def encoding(self, motion: Tensor, weights: Tensor, held: bool = False) -> Encoding | ShotEncoding:
        """Encoding of the lines that are used, or of those that are held out, times the roots of the shots' weights."""
        chosen = torch.zeros(self.y.shape[-1], dtype=self.maps.real.dtype)
        chosen[self.held if held else torch.cat(self.columns)] = 1
        mask = chosen * self._roots(weights)
        if not bool(motion.any()):
            return Encoding(self.maps, mask)
        return ShotEncoding(self.maps, motion, tuple(self.shots), mask, spacing=self.spacing)

    def weighted(self, weights: Tensor) -> Tensor:
        """k-space times the roots of the shots' weights."""
        return self.y * self._roots(weights)

    def used(self, weights: Tensor) -> Tensor:
        """As `weighted`, and zero but for the lines that are used."""
        chosen = torch.zeros(self.y.shape[-1], dtype=self.maps.real.dtype)
        chosen[torch.cat(self.columns)] = 1
        return self.weighted(weights) * chosen

    def _roots(self, weights: Tensor) -> Tensor:
        return torch.tensor([0.0 if shot < 0 else float(weights[shot]) for shot in self.shots]).sqrt()

    def held_out_misfit(self, motion: Tensor, weights: Tensor, start: Tensor) -> float:
        """How badly an image of the other lines predicts those that are held out: ||E x - y|| / ||y||."""
        E, y = self.encoding(motion, weights), self.weighted(weights)
        gram = E.gram
        found = conjugate_gradient(gram._apply, E.H(y), start, shift=RIDGE, tol=1e-3, max_iter=40)
        predicted = self.encoding(motion, weights, held=True)(found.x)[..., self.held]
        measured = y[..., self.held]
        return float((predicted - measured).norm() / measured.norm().clamp(min=1e-30))


def _held_out(own: Tensor, all_columns: int, shot: int) -> int:
    """A column of a shot that has signal, but is not in the very center; another one for each shot."""
    distance = (own - all_columns // 2).abs()
    order = own[distance >= NEAR_CENTER][torch.argsort(distance[distance >= NEAR_CENTER], stable=True)]
    order = order if len(order) else own
    return int(order[(7 * shot) % max(1, min(len(order), 4))])
