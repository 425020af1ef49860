"""Levenberg-Marquardt descent on image and motion at one level, and what it leaves unexplained of each shot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.motion.level import Level
from kascade.physics.motion.lines import RIDGE
from kascade.physics.motion.step import LinearStep
from kascade.physics.shot_plan import ShotPlan
from kascade.physics.solvers import conjugate_gradient

__all__ = ["Descent", "rough_image"]

PRIOR_WEIGHT = 0.05  # weight of the squared distance to the image of an x-step
DAMPING, LEAST_DAMPING, MOST_REJECTED = 0.03, 1e-4, 6
CG_TOLERANCE, CG_ITERATIONS = 0.1, 25
MODEL_ERROR = 0.05  # of the signal: what coil maps and discretization may leave as residual
BAD = 4.0  # times the median misfit of the shots


@dataclass(frozen=True, eq=False)
class Descent:
    """Levenberg-Marquardt at one level.

    Attributes
    ----------
    level : Level
        The data.
    free : Tensor
        Real (shots, 1): 1 for shots whose motion is sought, 0 for others.
    iterations, precision
        Stop after so many steps, or after one that changes the motion by less (px of the full matrix, degrees).
    fraction : float
        Of k-space, for the history.
    history : list of dict
        A record is added for each step.
    """

    level: Level
    free: Tensor
    iterations: int
    precision: float
    fraction: float
    history: list[dict[str, float]]

    def run(self, x: Tensor, motion: Tensor, weights: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Steps on image and motion until they are small; the image is pulled towards `z`, zero by default."""
        target, a = (torch.zeros_like(x), RIDGE) if z is None else (z, PRIOR_WEIGHT)
        plan = self.level.plan(motion, weights)
        data = self.level.data(plan, weights)
        residuals, cost = _residuals(plan, data, x, target, a)
        damping, rejected, taken = DAMPING, 0, 0
        linear = LinearStep.at(self.level, plan, x, motion, self.free)
        while True:
            step = linear.solve(residuals, target - x, a, damping, CG_TOLERANCE, CG_ITERATIONS)
            new_plan = self.level.plan(motion + step.motion, weights)
            new_residuals, new_cost = _residuals(new_plan, data, x + step.image, target, a)
            if new_cost >= cost:
                damping, rejected = 5 * max(damping, DAMPING), rejected + 1
                if rejected == MOST_REJECTED:
                    return x, motion
                continue
            x, motion, plan, residuals = x + step.image, motion + step.motion, new_plan, new_residuals
            cost, rejected, taken, damping = new_cost, 0, taken + 1, max(damping / 3, LEAST_DAMPING)
            largest = float(step.motion.abs().max())
            self._note(cost, largest, step.iterations)
            if largest < self.precision or taken == self.iterations:
                return x, motion
            linear = LinearStep.at(self.level, plan, x, motion, self.free)

    def _note(self, cost: float, largest: float, iterations: int) -> None:
        self.history.append(
            {"fraction": self.fraction, "cost": cost, "step": largest, "cg_iterations": float(iterations)}
        )

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


def rough_image(level: Level, motion: Tensor, weights: Tensor, start: Tensor | None) -> Tensor:
    """Regularized SENSE with this motion, roughly."""
    plan = level.plan(motion, weights)
    right = plan.adjoint(level.data(plan, weights))
    return conjugate_gradient(plan.gram, right, start, shift=RIDGE, tol=CG_TOLERANCE, max_iter=CG_ITERATIONS).x
