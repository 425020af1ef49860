"""A guard on the last step of a cascade: an image must explain the data as well as their noise allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics import Encoding, ShotEncoding
from kascade.unroll.cascade import Trace, consistency_step

__all__ = ["Verdict", "allowed_misfit", "guard"]

SLACK = 1.02  # more than the misfit that noise alone would leave
STEP = 1.5  # factor by which lambda rises
FEW_EQUATIONS = 0.8  # unknowns per equation above which the misfit of the data tells nothing


@dataclass(frozen=True)
class Verdict:
    """What the guard found.

    Attributes
    ----------
    image : Tensor
        As the cascade gave it, or the last of the added SENSE steps.
    misfit : float
        ||E x - y|| / ||y|| of the image of the cascade.
    allowed : float or None
        Largest misfit that noise explains; None where it cannot be told.
    steps : int
        SENSE steps that were added to come down to it.
    """

    image: Tensor
    misfit: float
    allowed: float | None
    steps: int


def allowed_misfit(E: Encoding | ShotEncoding, y: Tensor, least: float) -> float | None:
    """Misfit that the true image would have.

    Where lambda is large, a SENSE step is hardly regularized: it fits the noise with p of n degrees of freedom, p
    unknowns and n equations, and leaves the misfit sigma sqrt(n - p); that of the truth is sigma sqrt(n). Errors of the
    coil maps count as noise.

    Parameters
    ----------
    E : Encoding or ShotEncoding
        Of one slice.
    y : Tensor
        k-space (coil, rows, columns).
    least : float
        Least ||E x - y|| / ||y|| of the SENSE steps.

    Returns
    -------
    float or None
        None where there are too few equations to tell.
    """
    equations = int(torch.count_nonzero(y))
    unknowns = float(E.maps.abs().square().sum(-3).clamp(max=1).sum())
    if equations == 0 or unknowns > FEW_EQUATIONS * equations:
        return None
    return SLACK * least * math.sqrt(equations / (equations - unknowns))


def guard(E: Encoding | ShotEncoding, y: Tensor, image: Tensor, trace: Trace) -> Verdict:
    """Pull the image of a cascade back to the data where it contradicts them.

    Where the misfit of `image` is larger than noise explains, the network has taken away or invented something. Then
    SENSE steps towards its last image follow, each with a larger lambda, until the data are explained again: the
    discrepancy principle (Morozov 1966), applied to lambda.

    Parameters
    ----------
    E : Encoding or ShotEncoding
        Of one slice.
    y : Tensor
        k-space (coil, rows, columns).
    image : Tensor
        What the cascade gave.
    trace : Trace
        Of the cascade; added steps are noted in it.

    Returns
    -------
    Verdict
    """
    if not trace.lam or not trace.z or len(trace.x) == len(trace.z):  # no lambda, or no final SENSE step to repeat
        return Verdict(image, math.nan, None, 0)
    misfit = float(trace.consistency[-1])
    allowed = allowed_misfit(E, y, min(float(value) for value in trace.consistency))
    lam, largest, steps = trace.lam[-1], max(float(value) for value in trace.lam), 0
    while allowed is not None and float(trace.consistency[-1]) > allowed and float(lam) < largest:
        lam = (STEP * lam).clamp(max=largest)
        image = consistency_step(E, y, trace.z[-1], lam, trace)
        steps += 1
    return Verdict(image, misfit, allowed, steps)
