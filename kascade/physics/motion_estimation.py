"""Rigid motion between shots, estimated from the data themselves together with the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.encoding import Encoding
from kascade.physics.motion_level import Level, make_level, resized
from kascade.physics.motion_step import LinearStep
from kascade.physics.operator import LinearOperator
from kascade.physics.shot_encoding import ShotEncoding
from kascade.physics.shot_plan import ShotPlan, shot_columns
from kascade.physics.solvers import conjugate_gradient

__all__ = ["MotionEstimate", "XStep", "estimate_motion"]

XStep = Callable[[LinearOperator, Tensor], Tensor]
"""Makes an image of k-space: x_step(E, y) -> image (rows, columns), such as a trained cascade."""

FRACTIONS = (0.25, 0.5, 1.0)
ITERATIONS = (40, 8, 3)  # largest number of steps at each of them
PRECISION = (0.02, 0.01, 0.01)  # px of the full matrix and degrees: smaller steps end a level
RIDGE = 1e-3  # weight of the squared image where there is no other x-step
PRIOR_WEIGHT = 0.05  # weight of the squared distance to the image of an x-step
PRIOR_ROUNDS = 2
DAMPING, LEAST_DAMPING, MOST_REJECTED = 0.03, 1e-4, 6
CG_TOLERANCE, CG_ITERATIONS = 0.1, 25
MODEL_ERROR = 0.05  # of the signal: what coil maps and discretization may leave as residual
BAD = 4.0  # times the median misfit of the shots
HELD_OUT_GAIN = 0.98  # of the held-out misfit without motion that must be reached
NEAR_CENTER = 4  # columns around the center that are never held out


@dataclass(frozen=True)
class MotionEstimate:
    """What `estimate_motion` found.

    Attributes
    ----------
    motion : Tensor
        (shots, 3) as for `RigidMotion`, relative to shot `rest`; zero where it was not accepted.
    weights : Tensor
        (shots,): 1, or less for shots that no motion explains.
    rest : int
        The shot that acquired the center of k-space.
    accepted : bool
        Whether lines that were held out are predicted better with this motion than without any.
    held_out : tuple of float
        Misfit ||E x - y|| / ||y|| of those lines without motion and with it.
    misfits : Tensor
        (shots,): squared residual over what noise and model errors explain, 1 for the median shot.
    history : list of dict
        Every step: "fraction" of k-space, "cost", "step" (largest change, px or degrees), "cg_iterations".
    """

    motion: Tensor
    weights: Tensor
    rest: int
    accepted: bool
    held_out: tuple[float, float]
    misfits: Tensor
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def bad_shots(self) -> list[int]:
        """Shots with less than full weight."""
        return (self.weights < 1).nonzero().flatten().tolist()


@torch.no_grad()
def estimate_motion(
    y: Tensor,
    maps: Tensor,
    shots: Sequence[int] | Tensor,
    mask: Tensor | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    x_step: XStep | None = None,
    progress: Callable[[float], None] | None = None,
) -> MotionEstimate:
    """Estimate the motion of each shot of one 2-D slice.

    Minimizes the sum over shots of ||M_s (F C T_s x - y)||^2 over image and motion, by Levenberg-Marquardt steps on both
    together, which are those of the variable-projected cost (`motion_step`). From coarse to fine: the center of
    k-space first. Shots that no motion explains get a smaller weight. A few lines are held out: unless they are
    predicted better with the motion than without, there was none.

    Parameters
    ----------
    y : Tensor
        k-space, complex (coil, rows, columns), best with white noise.
    maps : Tensor
        Coil maps of the same shape, from a calibration without motion.
    shots : sequence of int or Tensor
        (columns,): shot of each column, from 0; -1 for none.
    mask : Tensor, optional
        Real (columns,): 0 where a column was not acquired.
    spacing : tuple of float
        Pixel sizes along rows and columns.
    x_step : callable, optional
        Where given, the image is pulled towards that of this function at the last level, instead of towards zero.
    progress : callable, optional
        Told the part that is done, from 0 to 1.

    Returns
    -------
    MotionEstimate

    Raises
    ------
    ShapeError
        If the pieces do not fit each other.
    ConfigError
        If there is one shot alone, or a shot without columns.

    References
    ----------
    Cordero-Grande et al., IEEE TCI 2 (2016) and MRM 83 (2020); Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973).
    """
    search = _Search.of(y, maps, shots, mask, spacing)
    if not bool(y.any()):
        return search.nothing()
    motion = torch.zeros(search.count, 3, dtype=maps.real.dtype)
    weights = torch.ones(search.count, dtype=maps.real.dtype)
    known = torch.zeros(search.count, dtype=torch.bool)
    x: Tensor | None = None
    history: list[dict[str, float]] = []
    for number, (fraction, iterations, precision) in enumerate(zip(FRACTIONS, ITERATIONS, PRECISION, strict=True)):
        level = make_level(y, maps, search.columns, fraction, spacing)
        here = torch.tensor([len(own) > 0 for own in level.columns])
        motion = _carried_over(motion, known, here)
        known |= here
        free = (here & (torch.arange(search.count) != search.rest)).to(motion.dtype).unsqueeze(1)
        x = _image(level, motion, weights, None if x is None else resized(x, level.shape))
        job = _Descent(level, free, iterations, precision, {"fraction": fraction}, history)
        x, motion = job.run(x, motion, weights)
        weights = job.weights(x, motion)
        if bool((weights < 1).any()):
            x, motion = job.run(x, motion, weights)
            weights = job.weights(x, motion)
        if fraction >= 1 and x_step is not None:
            for _ in range(PRIOR_ROUNDS):
                z = x_step(search.encoding(motion), y)
                x, motion = job.run(z, motion, weights, z)
        if progress is not None:
            progress((number + 1) / (len(FRACTIONS) + 1))
    assert x is not None
    before, after = (search.held_out_misfit(path, x) for path in (torch.zeros_like(motion), motion))
    accepted = after < HELD_OUT_GAIN * before
    misfits = job.misfits(x, motion)
    if not accepted:
        motion, weights = torch.zeros_like(motion), torch.ones_like(weights)
    return MotionEstimate(motion, weights, search.rest, accepted, (before, after), misfits, history)


@dataclass(frozen=True, eq=False)
class _Search:
    """Data, and which of their lines are used and which are held out."""

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
    ) -> _Search:
        names = [int(shot) for shot in shots]
        all_columns = y.shape[-1]
        if y.ndim != 3 or maps.shape != y.shape or len(names) != all_columns:
            raise ShapeError(
                f"estimate_motion: k-space is {tuple(y.shape)}, maps {tuple(maps.shape)}, shots ({len(names)},); "
                "expected (coil, rows, columns) twice, and (columns,)"
            )
        if mask is not None and tuple(mask.shape) != (all_columns,):
            raise ConfigError(f"estimate_motion: the mask is {tuple(mask.shape)}; expected (columns,) = ({all_columns},)")
        weights = torch.ones(all_columns) if mask is None else mask
        count = max(names) + 1
        members = shot_columns(names, [[shot] for shot in range(count)], weights)
        empty = [shot for shot, own in enumerate(members) if not len(own)]
        if count < 2 or empty:
            raise ConfigError(
                f"estimate_motion: {count} shots, without columns: {empty or 'none'}; expected two or more, each with "
                "columns of its own: give the shot of each column in the data set shot"
            )
        rest = names[all_columns // 2]
        if rest < 0:
            rest = int(torch.stack([y[..., own].abs().square().sum() for own in members]).argmax())
        held = torch.tensor([_held_out(own, all_columns, shot) for shot, own in enumerate(members) if len(own) > 2])
        held = held.to(torch.int64)
        kept = [own[~torch.isin(own, held)] for own in members]
        return cls(y, maps, names, weights, spacing, count, rest, kept, held)

    def nothing(self) -> MotionEstimate:
        """Of data without signal nothing can be said."""
        still, ones = torch.zeros(self.count, 3), torch.ones(self.count)
        return MotionEstimate(still, ones, self.rest, False, (0.0, 0.0), ones)

    def encoding(self, motion: Tensor, held: bool = False) -> LinearOperator:
        """Encoding of the lines that are used, or of those that are held out."""
        chosen = torch.zeros(self.y.shape[-1], dtype=self.maps.real.dtype)
        chosen[self.held if held else torch.cat(self.columns)] = 1
        if not bool(motion.any()):
            return Encoding(self.maps, chosen)
        return ShotEncoding(self.maps, motion, tuple(self.shots), chosen, spacing=self.spacing)

    def held_out_misfit(self, motion: Tensor, start: Tensor) -> float:
        """How badly an image of the other lines predicts those that are held out."""
        E = self.encoding(motion)
        gram = E.gram
        found = conjugate_gradient(lambda v: gram._apply(v) + RIDGE * v, E.H(self.y), start, tol=1e-3, max_iter=40)
        predicted = self.encoding(motion, held=True)(found.x)[..., self.held]
        measured = self.y[..., self.held]
        return float((predicted - measured).norm() / measured.norm().clamp(min=1e-30))


def _held_out(own: Tensor, all_columns: int, shot: int) -> int:
    """A column of a shot that has signal, but is not in the very center; another one for each shot."""
    distance = (own - all_columns // 2).abs()
    order = own[distance >= NEAR_CENTER][torch.argsort(distance[distance >= NEAR_CENTER], stable=True)]
    order = order if len(order) else own
    return int(order[(7 * shot) % max(1, min(len(order), 4))])


def _carried_over(motion: Tensor, known: Tensor, here: Tensor) -> Tensor:
    """Motion of shots that are new: that of the nearest one (in time) that is known."""
    if not bool(known.any()):
        return motion
    sources = known.nonzero().flatten()
    motion = motion.clone()
    for shot in (here & ~known).nonzero().flatten().tolist():
        motion[shot] = motion[sources[(sources - shot).abs().argmin()]]
    return motion


def _image(level: Level, motion: Tensor, weights: Tensor, start: Tensor | None) -> Tensor:
    """Regularized SENSE with this motion, roughly."""
    plan = level.plan(motion, weights)
    right = plan.adjoint(level.data(plan, weights))
    return conjugate_gradient(
        lambda v: plan.gram(v) + RIDGE * v, right, start, tol=CG_TOLERANCE, max_iter=CG_ITERATIONS
    ).x


@dataclass(frozen=True, eq=False)
class _Descent:
    """Levenberg-Marquardt at one level."""

    level: Level
    free: Tensor
    iterations: int
    precision: float
    labels: dict[str, Any]
    history: list[dict[str, float]]

    def run(self, x: Tensor, motion: Tensor, weights: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Steps on image and motion until they are small; the image is pulled towards `z`, zero by default."""
        target, a = (torch.zeros_like(x), RIDGE) if z is None else (z, PRIOR_WEIGHT)
        plan = self.level.plan(motion, weights)
        data = self.level.data(plan, weights)
        residuals, cost = _residuals(plan, data, x, target, a)
        damping, rejected, taken = DAMPING, 0, 0
        while taken < self.iterations and rejected < MOST_REJECTED:
            linear = LinearStep.at(self.level, plan, x, motion, self.free) if not rejected else linear
            step = linear.solve(residuals, target - x, a, damping, CG_TOLERANCE, CG_ITERATIONS)
            new_plan = self.level.plan(motion + step.motion, weights)
            new_residuals, new_cost = _residuals(new_plan, data, x + step.image, target, a)
            if new_cost >= cost:
                damping, rejected = 5 * max(damping, DAMPING), rejected + 1
                continue
            x, motion, plan, residuals = x + step.image, motion + step.motion, new_plan, new_residuals
            cost, rejected, taken = new_cost, 0, taken + 1
            damping = max(damping / 3, LEAST_DAMPING)
            largest = float(step.motion.abs().max())
            self.history.append(
                {**self.labels, "cost": cost, "step": largest, "cg_iterations": step.iterations, "damping": damping}
            )
            if largest < self.precision:
                break
        return x, motion

    def misfits(self, x: Tensor, motion: Tensor) -> Tensor:
        """Squared residual of each shot over what noise and errors of the model explain; 1 for the median shot."""
        ones = torch.ones(len(motion), dtype=motion.dtype)
        plan = self.level.plan(motion, ones)
        data = self.level.data(plan, ones)
        model = plan.forward(x)
        residual = (plan.scatter(data) - plan.scatter(model)).abs().square().sum((0, 1))
        energy = self.level.samples.abs().square().sum((0, 1))
        own = torch.cat(self.level.columns)
        noise = float(residual[own].quantile(0.25))
        values = [
            float(residual[c].sum() / (noise * len(c) + MODEL_ERROR**2 * energy[c].sum()).clamp(min=1e-30))
            if len(c)
            else math.nan
            for c in self.level.columns
        ]
        misfits = torch.tensor(values, dtype=motion.dtype)
        return misfits / misfits.nanmedian().clamp(min=1e-30)

    def weights(self, x: Tensor, motion: Tensor) -> Tensor:
        """1, and less for shots that stand out by their misfit."""
        misfits = self.misfits(x, motion).nan_to_num(1.0)
        return (BAD / misfits.clamp(min=1e-30)).clamp(max=1.0)


def _residuals(
    plan: ShotPlan, data: Sequence[Tensor], x: Tensor, target: Tensor, a: float
) -> tuple[list[Tensor], float]:
    residuals = [d - m for d, m in zip(data, plan.forward(x), strict=True)]
    misfit = sum(float(r.abs().square().sum()) for r in residuals)
    return residuals, misfit + a * float((x - target).abs().square().sum())
