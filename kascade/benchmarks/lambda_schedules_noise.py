"""How much noise arrives in the image: of a whole cascade, iteration by iteration, and of one SENSE step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kascade.benchmarks.lambda_schedules_probes import COILS, Probe, phantom_scan, undersampled
from kascade.physics import regularized_sense
from kascade.physics.gfactor import noise_amplification
from kascade.recon.setup import Setup

__all__ = ["Gain", "NoiseProbe", "SenseExample", "cascade_gains", "make_noise_probe", "sense_examples"]

REPLICAS, BATCH = 40, 10
EXAMPLE_LAMBDAS = (1.0, 5.0, 50.0)
TOLERANCE, MAX_ITER = 1e-3, 500


@dataclass(frozen=True, eq=False)
class NoiseProbe:
    """A simulated slice whose noise is known: white, of unit variance in every coil.

    Attributes
    ----------
    probe : Probe
        The slice, with one realization of noise.
    clean : Tensor
        Its k-space without noise.
    """

    probe: Probe
    clean: Tensor


@dataclass(frozen=True)
class Gain:
    """Noise after one iteration of a cascade, over that of the fully sampled image.

    Attributes
    ----------
    schedule, seed, accel
        The training and R.
    iteration : int
        From 1.
    lam : float
        Lambda of the SENSE step, the bound for a prior without noise.
    x_median, x_high, z_median, z_high : float
        Median and 95th percentile within the head, after the SENSE step and after the network.
    """

    schedule: str
    seed: int
    accel: int
    iteration: int
    lam: float
    x_median: float
    x_high: float
    z_median: float
    z_high: float


def make_noise_probe(accel: int) -> NoiseProbe:
    """Simulate the slice; coil maps come from its own noisy calibration lines."""
    white = torch.eye(COILS, dtype=torch.complex64)
    scan = phantom_scan(noise_covariance=white)
    assert scan.noise_covariance is not None
    level = float(scan.noise_covariance[0, 0].real) ** 0.5
    problem = Setup().problem(undersampled(scan, accel), 0)  # whitened: divided by `level`
    truth = scan.target(0)
    assert truth is not None
    clean = phantom_scan(snr=math.inf).kspace[0] / level
    mask = problem.E.mask
    assert mask is not None
    return NoiseProbe(Probe("phantom 1", 0, accel, False, problem, truth.numpy()), clean * mask)


@torch.no_grad()
def cascade_gains(
    model: nn.Module, schedule: str, seed: int, noise: NoiseProbe, replicas: int = REPLICAS
) -> list[Gain]:
    """Reconstruct the slice with many realizations of its noise; the standard deviation of each pixel is the gain.

    The networks are not linear: this is the noise at this signal and this SNR.

    Parameters
    ----------
    model : nn.Module
        An unrolled cascade.
    schedule, seed
        The training.
    noise : NoiseProbe
        Of `make_noise_probe`.
    replicas : int
        Realizations, at least 2; the relative standard error of a pixel's gain is about 1 / (2 sqrt(replicas)).
    """
    E, head = noise.probe.problem.E, noise.probe.truth[1]
    sums: list[Tensor] = []
    squares: list[Tensor] = []
    lam: list[float] = []
    for y in _realizations(noise, replicas):
        trace = model(E, y, trace=True).trace
        images = [image.to(torch.complex128) for image in (*trace.x, *trace.z)]
        added = [image.sum(0) for image in images], [image.abs().square().sum(0) for image in images]
        sums, squares = (
            [a + b for a, b in zip(old, new, strict=True)] if old else new
            for old, new in zip((sums, squares), added, strict=True)
        )
        lam = [float(value.mean()) for value in trace.lam]
    deviations = [
        ((square - total.abs().square() / replicas) / (replicas - 1)).clamp(min=0).sqrt().numpy()[head]
        for total, square in zip(sums, squares, strict=True)
    ]
    levels = [(float(np.median(d)), float(np.percentile(d, 95))) for d in deviations]
    count = len(levels) // 2
    return [
        Gain(schedule, seed, noise.probe.accel, n + 1, lam[n], *levels[n], *levels[count + n]) for n in range(count)
    ]


def _realizations(noise: NoiseProbe, replicas: int) -> Iterator[Tensor]:
    """Batches of k-space; every cascade gets the same noise."""
    generator = torch.Generator().manual_seed(0)
    mask = noise.probe.problem.E.mask
    assert mask is not None
    for first in range(0, replicas, BATCH):
        count = min(BATCH, replicas - first)
        drawn = torch.randn(count, *noise.clean.shape, dtype=torch.complex64, generator=generator)
        yield noise.clean + drawn * mask


@dataclass(frozen=True, eq=False)
class SenseExample:
    """Regularized SENSE without a prior at one lambda.

    Attributes
    ----------
    lam, psnr : float
        Lambda, and PSNR in dB.
    image : array
        Scaled to the truth.
    gain : array
        Noise gain of each pixel, NaN outside the head.
    """

    lam: float
    psnr: float
    image: NDArray[np.floating[Any]]
    gain: NDArray[np.floating[Any]]


@torch.no_grad()
def sense_examples(noise: NoiseProbe, replicas: int = REPLICAS) -> list[SenseExample]:
    """Small, medium and large lambda: image and noise gain."""
    probe, E = noise.probe, noise.probe.problem.E
    found = []
    for lam in EXAMPLE_LAMBDAS:

        def solve(y: Tensor, lam: float = lam) -> Tensor:
            return regularized_sense(E, y, lam=lam, tol=TOLERANCE, max_iter=MAX_ITER).image

        image = solve(probe.problem.y)
        gain = noise_amplification(solve, E.range_shape, mask=E.mask, replicas=replicas).numpy()
        shown = np.where(probe.truth[1], gain, np.nan)
        found.append(SenseExample(lam, probe.psnr(image), probe.scaled(image), shown))
    return found
