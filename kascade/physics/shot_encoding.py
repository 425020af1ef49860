"""Encoding of a moving object: each shot of a multi-shot acquisition sees it in another position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kascade.errors import ShapeError
from kascade.physics.encoding import Encoding
from kascade.physics.fourier import fft, ifft
from kascade.physics.operator import LinearOperator, Sum
from kascade.physics.rigid_motion import PADDING, RigidMotion, check_motion, motion_count
from kascade.physics.shot_plan import ShotPlan, make_plan, shot_columns

__all__ = ["ShotEncoding", "ShotGram"]


@dataclass(frozen=True, eq=False, repr=False)
class ShotEncoding(LinearOperator):
    """E = sum over shots s of Sampling(M_s) @ Fourier @ Coils @ RigidMotion(s): the object moves, the coils do not.

    Equal to `expression`, and quicker: shots that do not move are one `Encoding`, the others transform only their own
    columns.

    Parameters
    ----------
    maps : Tensor
        Coil maps as for `Encoding`, in the frame of the scanner: from a calibration without motion.
    motion : Tensor
        Real (*batch, shots, 3), or (*batch, shots, 6) with ndim=3: see `RigidMotion`.
    shots : Tensor or sequence of int
        (columns,): the shot, from 0, that acquired each column (last axis); -1 for none.
    mask : Tensor, optional
        As for `Encoding`; absent: all columns that belong to a shot.
    ndim : int
        Spatial axes, 2 or 3.
    sets : int, optional
        Number of map sets, as for `Encoding`; they move alike.
    padding, spacing
        As for `RigidMotion`.

    Raises
    ------
    ShapeError
        If the pieces do not fit each other, a column names a shot without motion, or the motion is not finite.

    References
    ----------
    Batchelor et al., MRM 54 (2005); Cordero-Grande et al., IEEE TCI 2 (2016).
    """

    maps: Tensor
    motion: Tensor
    shots: tuple[int, ...]
    mask: Tensor | None = None
    ndim: int = 2
    sets: int | None = None
    padding: float = PADDING
    spacing: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(int(shot) for shot in self.shots)
        if any(name != shot for name, shot in zip(names, self.shots, strict=True)):
            raise ShapeError("ShotEncoding: shots are no whole numbers; expected the shot of each column, or -1")
        object.__setattr__(self, "shots", names)
        columns, count = self.maps.shape[-1], motion_count(self.ndim)
        if len(self.shots) != columns:
            raise ShapeError(
                f"ShotEncoding: {len(self.shots)} shots named for {columns} columns; expected one for each"
            )
        if self.motion.ndim < 2 or self.motion.shape[-1] != count:
            raise ShapeError(
                f"ShotEncoding: motion is {tuple(self.motion.shape)}; expected (*batch, shots, {count}), "
                f"{self.ndim} shifts in px and then {count - self.ndim} angles in degrees"
            )
        check_motion("ShotEncoding", self.motion)
        object.__setattr__(self, "motion", self.motion.to(self.maps.real.dtype))
        if not -1 <= min(self.shots) <= max(self.shots) < self.motion.shape[-2]:
            raise ShapeError(
                f"ShotEncoding: columns name shots {min(self.shots)} to {max(self.shots)}, but motion has "
                f"{self.motion.shape[-2]}; expected 0 to {self.motion.shape[-2] - 1}, or -1 for a column without shot"
            )
        _ = Encoding(self.maps, self.mask, self.ndim, self.sets)  # raises ShapeError where maps and mask do not fit

    @property
    def expression(self) -> LinearOperator:
        """The same operator, spelled out: a sum over all shots."""
        return Sum(tuple(self._moving(range(self.motion.shape[-2]))))

    @property
    def terms(self) -> tuple[LinearOperator, ...]:
        """Summands that share no sample of k-space: shots at rest together, then each moving one."""
        numbers = range(self.motion.shape[-2])
        if self.motion.requires_grad:
            return tuple(self._moving(numbers))
        moves = [bool(self.motion[..., shot, :].any()) for shot in numbers]
        rest = [shot for shot in numbers if not moves[shot]]
        still = (Encoding(self.maps, self._mask_of(rest), self.ndim, self.sets),) if rest else ()
        return (*still, *self._moving([shot for shot in numbers if moves[shot]]))

    def _moving(self, numbers: Sequence[int]) -> Iterator[LinearOperator]:
        for shot in numbers:
            E = Encoding(self.maps, self._mask_of([shot]), self.ndim, self.sets)
            motion = self.motion[..., shot, :]
            yield E @ RigidMotion(motion, E.domain_shape, self.ndim, self.padding, self.spacing)

    def _mask_of(self, numbers: Sequence[int]) -> Tensor:
        own = torch.tensor([shot in numbers for shot in self.shots], device=self.maps.device)
        return own.to(self.maps.real.dtype) if self.mask is None else self.mask * own

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return Encoding(self.maps, self.mask, self.ndim, self.sets).domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return Encoding(self.maps, self.mask, self.ndim, self.sets).range_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        still = Encoding(self.maps, self.mask, self.ndim, self.sets).batch_shape
        return tuple(torch.broadcast_shapes(still, self.motion.shape[:-2]))

    @property
    def gram(self) -> LinearOperator:
        terms = self.terms
        return terms[0].gram if len(terms) == 1 and isinstance(terms[0], Encoding) else ShotGram(self)

    def _apply(self, x: Tensor) -> Tensor:
        plan = self.plan_for(x, len(self.domain_shape))
        if plan is None:
            return Sum(self.terms)._apply(x)
        return fft(plan.scatter(plan.forward(x)), (-2,))

    def _adjoint(self, y: Tensor) -> Tensor:
        plan = self.plan_for(y, len(self.range_shape))
        if plan is None:
            return Sum(self.terms)._adjoint(y)
        return plan.adjoint(plan.gather(ifft(y, (-2,))))

    def plan_for(self, x: Tensor, item_ndim: int) -> ShotPlan | None:
        """The fast path: for one 2-D slice that moves, a mask of columns, and no graph recorded; None elsewhere."""
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.tensors())):
            return None
        one_slice = self.ndim == 2 and self.sets is None and self.motion.ndim == 2 and self.maps.ndim == 3
        columns_only = self.mask is None or self.mask.ndim == 1
        fits = one_slice and columns_only and x.ndim == item_ndim and x.dtype == self.maps.dtype
        return self._plan if fits else None

    @property
    def _plan(self) -> ShotPlan | None:
        """The plan of the tensors as they are now: made anew after one was changed in place."""
        versions = tuple(0 if t.is_inference() else t._version for t in self.tensors())
        if self.__dict__.get("_planned", (None,))[0] != versions:
            object.__setattr__(self, "_planned", (versions, self._make_plan()))
        plan: ShotPlan | None = self.__dict__["_planned"][1]
        return plan

    def _make_plan(self) -> ShotPlan | None:
        count = self.motion.shape[-2]
        moving = [shot for shot in range(count) if bool(self.motion[shot].any())]
        rest = [shot for shot in range(count) if shot not in moving]
        if not moving:
            return None
        members = [rest, *([shot] for shot in moving)] if rest else [[shot] for shot in moving]
        weights = self._mask_of(range(count))
        columns = shot_columns(self.shots, members, weights)
        motion = self.motion.detach()[[some[0] for some in members]]
        return make_plan(self.maps.detach(), motion, columns, weights, self.padding, self.spacing)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_planned"}

    def __repr__(self) -> str:
        moving = len(self.terms) - any(isinstance(term, Encoding) for term in self.terms)
        inner = repr(Encoding(self.maps, self.mask, self.ndim, self.sets))
        return f"ShotEncoding[{self.motion.shape[-2]} shots, {moving} moving]({inner})"


@dataclass(frozen=True, eq=False, repr=False)
class ShotGram(LinearOperator):
    """`E.H @ E` of a `ShotEncoding`: a sum over shots, for no two of them share a sample."""

    encoding: ShotEncoding
    hermitian = True

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.encoding.domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.encoding.domain_shape

    def _apply(self, x: Tensor) -> Tensor:
        plan = self.encoding.plan_for(x, len(self.domain_shape))
        if plan is not None:
            return plan.gram(x)
        return Sum(tuple(term.gram for term in self.encoding.terms))._apply(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)

    def __repr__(self) -> str:
        return f"({self.encoding!r}).gram"
