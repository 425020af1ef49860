"""Lambda for each iteration of a cascade: learned, fixed or predicted, always with the meaning of the noise bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.physics import LinearOperator

__all__ = [
    "NICKEL_TABLE_1",
    "Constant",
    "Fixed",
    "Geometric",
    "LambdaSchedule",
    "Learned",
    "Predicted",
    "Tied",
    "make_schedule",
]

NICKEL_TABLE_1 = (7.05, 7.05, 3.91, 1.85, 1.11, 0.91)
"""Regularization strengths that Nickel's training arrived at (Siemens Healthineers 2025, Table 1)."""

LIMITS = (0.1, 20.0)
COMMON_NOISE = 0.03


def _log_spaced(first: float, last: float, count: int) -> Tensor:
    return torch.linspace(math.log(first), math.log(last), count)


class LambdaSchedule(nn.Module):
    """Gives lambda_n, an upper bound on the noise amplification of iteration n.

    A new schedule is a subclass with `forward`.
    """

    def __init__(self, iterations: int) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations must be 1 or more, got {iterations}")
        self.iterations = iterations

    def forward(self, iteration: int, E: LinearOperator, y: Tensor) -> Tensor:
        """Lambda of `iteration` (counted from 0), a scalar or one for each item of the batch, (*batch,)."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class Learned(LambdaSchedule):
    """One trained lambda for each iteration, as log lambda, within 0.1 and 20; starts log-spaced from 6 to 1."""

    def __init__(self, iterations: int, first: float = 6.0, last: float = 1.0) -> None:
        super().__init__(iterations)
        self.log_lam = nn.Parameter(_log_spaced(first, last, iterations))

    def forward(self, iteration: int, E: LinearOperator, y: Tensor) -> Tensor:
        """Scalar."""
        return self.log_lam[iteration].exp().clamp(*LIMITS)


class Tied(LambdaSchedule):
    """One trained lambda for all iterations, as in MoDL."""

    def __init__(self, iterations: int, start: float = 2.24) -> None:
        super().__init__(iterations)
        self.log_lam = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, iteration: int, E: LinearOperator, y: Tensor) -> Tensor:
        """Scalar."""
        return self.log_lam.exp().clamp(*LIMITS)


class Fixed(LambdaSchedule):
    """Given lambdas, by default Nickel's Table 1; saved with the weights, not trained."""

    lam: Tensor

    def __init__(self, lam: Sequence[float] = NICKEL_TABLE_1) -> None:
        super().__init__(len(lam))
        if not all(0 < value < math.inf for value in lam):
            raise ConfigError(f"every lambda must be positive and finite, got {list(lam)}")
        self.register_buffer("lam", torch.tensor([float(v) for v in lam]))

    def forward(self, iteration: int, E: LinearOperator, y: Tensor) -> Tensor:
        """Scalar."""
        return self.lam[iteration]


class Constant(Fixed):
    """The same given lambda in all iterations."""

    def __init__(self, iterations: int, lam: float = 5.0) -> None:
        super().__init__([lam] * iterations)


class Geometric(Fixed):
    """Given lambdas that fall (or rise) by a constant factor from first to last."""

    def __init__(self, iterations: int, first: float = 6.0, last: float = 1.0) -> None:
        super().__init__(_log_spaced(first, last, iterations).exp().tolist())


class Predicted(LambdaSchedule):
    """Lambda from the data: log lambda_n is linear in log R and in the log noise level, with trained coefficients.

    R is the true acceleration of each item; its logarithm counts from R = 3, that of the noise level from 0.03, so that
    `log_lam` is what a common scan gets. The noise level is the RMS of the quietest corner of k-space (a tenth of the
    rows by a tenth of the columns) relative to the RMS of the whole, over acquired samples: crude, but scale-free and
    there without a noise scan. Where no corner was acquired it counts as 0.03.
    """

    def __init__(self, iterations: int, first: float = 6.0, last: float = 1.0) -> None:
        super().__init__(iterations)
        self.log_lam = nn.Parameter(_log_spaced(first, last, iterations))
        self.slopes = nn.Parameter(torch.zeros(iterations, 2))

    def forward(self, iteration: int, E: LinearOperator, y: Tensor) -> Tensor:
        """One for each item, (*batch,)."""
        item = tuple(range(-len(E.range_shape), 0))
        acquired = y != 0
        acceleration = math.prod(E.range_shape) / acquired.sum(item).clamp(min=1)
        rows, columns = (max(n // 10, 2) for n in y.shape[-2:])
        corners = [
            y[..., a, b] for a in (slice(rows), slice(-rows, None)) for b in (slice(columns), slice(-columns, None))
        ]
        levels = torch.stack([_rms(corner, item) for corner in corners])
        noise = torch.where(levels > 0, levels, torch.inf).amin(0) / _rms(y, item).clamp(min=1e-30)
        noise = torch.where(noise.isfinite(), noise, COMMON_NOISE)  # no corner was acquired
        features = torch.stack(((acceleration / 3).log(), (noise / COMMON_NOISE).clamp(min=1e-3).log()), dim=-1)
        return (self.log_lam[iteration] + features @ self.slopes[iteration]).exp().clamp(*LIMITS)


def _rms(y: Tensor, axes: tuple[int, ...]) -> Tensor:
    """RMS over the samples that are not zero."""
    power = y.abs().square()
    return (power.sum(axes) / (power > 0).sum(axes).clamp(min=1)).sqrt()


_NAMES: dict[str, Callable[[int], LambdaSchedule]] = {
    "learned": Learned,
    "tied": Tied,
    "geometric": Geometric,
    "predicted": Predicted,
    "table1": lambda iterations: Fixed(NICKEL_TABLE_1),
}


def make_schedule(lam: str | float | Sequence[float] | LambdaSchedule, iterations: int) -> LambdaSchedule:
    """Schedule from what a user writes.

    Parameters
    ----------
    lam : str, float, sequence of float, or LambdaSchedule
        "learned", "tied", "table1", "geometric" or "predicted"; a number for all iterations; a number for each; or a
        schedule.
    iterations : int
        Number of iterations of the cascade.

    Raises
    ------
    ConfigError
        If there is no such schedule, or its length is not `iterations`.
    """
    if isinstance(lam, LambdaSchedule):
        schedule = lam
    elif isinstance(lam, str):
        if lam not in _NAMES:
            raise ConfigError(f"there is no lambda schedule {lam!r}; choose {', '.join(_NAMES)}, or give numbers")
        schedule = _NAMES[lam](iterations)
    elif isinstance(lam, float | int):
        schedule = Constant(iterations, lam)
    else:
        schedule = Fixed(lam)
    if schedule.iterations != iterations:
        raise ConfigError(f"the lambda schedule has {schedule.iterations} values, the cascade {iterations} iterations")
    return schedule
