"""Nickel's Fig. 3 on the probes of the lambda benchmark: plain regularized SENSE, scored as the cascades are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from kascade.benchmarks.lambda_schedules_probes import Probe
from kascade.benchmarks.lambda_sweep import MAX_ITER, SweepPoint
from kascade.physics import regularized_sense

__all__ = ["SWEEP_LAMBDAS", "sweep_probes"]

SWEEP_LAMBDAS = tuple(0.5 * 100 ** (n / 11) for n in range(12))
"""Those of `kascade sweep`: 0.5 to 50."""

TOLERANCE = 1e-4


@torch.no_grad()
def sweep_probes(probes: Sequence[Probe], lams: Sequence[float] = SWEEP_LAMBDAS) -> list[SweepPoint]:
    """Reconstruct the first slice of every scan at each lambda, without a prior.

    `kascade.benchmarks.lambda_sweep` does the same with files, which hold no noise-free truth.

    Parameters
    ----------
    probes : sequence of Probe
        At one or several R.
    lams : sequence of float
        Values of lambda.

    Returns
    -------
    list of SweepPoint
        For each R, in the order of `lams`.
    """
    first: dict[tuple[int, str], Probe] = {}
    for probe in probes:
        first.setdefault((probe.accel, probe.scan), probe)
    rows: dict[tuple[int, float], list[tuple[float, ...]]] = defaultdict(list)
    for probe in first.values():
        for lam in lams:
            found = regularized_sense(probe.problem.E, probe.problem.y, lam=lam, tol=TOLERANCE, max_iter=MAX_ITER)
            scores = probe.psnr(found.image), probe.ssim(found.image)
            rows[probe.accel, lam].append((probe.problem.info["true_acceleration"], *scores, float(found.iterations)))
    points = []
    for (accel, lam), scored in sorted(rows.items()):
        true, psnr, ssim, iterations = (float(mean) for mean in np.mean(scored, axis=0))
        points.append(SweepPoint(accel, true, lam, psnr, ssim, iterations, len(scored)))
    return points
