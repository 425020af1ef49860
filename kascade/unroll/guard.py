"""A guard on the last step of a cascade: the data themselves say how much weight they should have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics import Encoding, ShotEncoding, regularized_sense
from kascade.unroll.cascade import Trace, consistency_step

__all__ = ["Verdict", "cross_validation", "guard"]

STEP = 1.3  # factor by which lambda rises
GAIN = 0.9995  # a larger lambda must bring the score below this part of the last one
TOLERANCE = 1e-2  # of the solves that only serve to compare


@dataclass(frozen=True)
class Verdict:
    """What the guard found.

    Attributes
    ----------
    image : Tensor
        As the cascade gave it, or that of a last SENSE step with another lambda.
    model_lam, lam : float or None
        The last lambda of the model, and the one that was taken; None where the cascade does not end with a SENSE step.
    """

    image: Tensor
    model_lam: float | None
    lam: float | None


def cross_validation(E: Encoding | ShotEncoding, y: Tensor, z: Tensor) -> Callable[[Tensor | float], float]:
    """Generalized cross-validation of a SENSE step towards `z`: how well it would predict samples it has not seen.

    With r = y - E z and the matrix H that takes r to what the step explains of it, the score is
    (|r - H r|^2 / n) / (1 - tr H / n)^2 over the n acquired samples; the trace is estimated with one random vector, the
    same in every call.

    Parameters
    ----------
    E : Encoding or ShotEncoding
        Of one slice.
    y : Tensor
        k-space (coil, rows, columns).
    z : Tensor
        Prior image.

    Returns
    -------
    callable
        ``score(lam)`` of a regularization strength; lower is better.

    References
    ----------
    Golub, Heath and Wahba, Technometrics 21 (1979); the estimate of the trace: Girard, Numerische Mathematik 56 (1989).
    """
    acquired = y != 0
    noise = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0)).to(y.device) * acquired
    rest = (y - E(z)) * acquired

    def score(lam: Tensor | float) -> float:
        def explained(samples: Tensor) -> Tensor:
            image = regularized_sense(E, samples, lam=lam, tol=TOLERANCE).image
            return E(image) * acquired

        unexplained = float((rest - explained(rest)).abs().square().sum() / acquired.sum())
        freedom = float((noise.conj() * explained(noise)).real.sum() / noise.abs().square().sum())
        return unexplained / max(1 - freedom, 1e-6) ** 2

    return score


@torch.no_grad()
def guard(E: Encoding | ShotEncoding, y: Tensor, image: Tensor, trace: Trace) -> Verdict:
    """Give the data more weight in the last SENSE step of a cascade, where that predicts them better.

    A network that was trained on other scans takes away what belongs to this one, or invents; then its image explains
    unseen samples worse than one nearer to the data. So lambda is raised from the model's, as long as
    `cross_validation` improves, but not above the largest lambda of the cascade; never lowered.

    Parameters
    ----------
    E : Encoding or ShotEncoding
        Of one slice.
    y : Tensor
        k-space (coil, rows, columns).
    image : Tensor
        What the cascade gave.
    trace : Trace
        Of the cascade; an added step is noted in it.

    Returns
    -------
    Verdict
    """
    if not trace.lam or not trace.z or len(trace.x) == len(trace.z):  # no lambda, or no final SENSE step to repeat
        return Verdict(image, None, None)
    own, largest, z = float(trace.lam[-1]), max(float(value) for value in trace.lam), trace.z[-1]
    if not bool(y.any()):
        return Verdict(image, own, own)
    score_of = cross_validation(E, y, z)
    lam, score = own, score_of(own)
    while lam < largest:
        higher = min(STEP * lam, largest)
        found = score_of(higher)
        if found > GAIN * score:
            break
        lam, score = higher, found
    if lam > own:
        image = consistency_step(E, y, z, trace.lam[-1].new_tensor(lam), trace)
    return Verdict(image, own, lam)
