"""Scores of trained cascades: the image, and every x_n and z_n on the way to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kascade.benchmarks.lambda_schedules_probes import Probe
from kascade.errors import ConfigError
from kascade.unroll import CascadeOutput

__all__ = ["Score", "score_probe", "table_of"]


@dataclass(frozen=True)
class Score:
    """One cascade on one probe.

    Attributes
    ----------
    schedule, seed : str, int
        The training.
    scan, slice, accel, measured
        The probe.
    psnr, ssim : float
        Of the final image, within the head; PSNR in dB.
    x, z : tuple of float
        PSNR of the image after each SENSE step and after each network.
    lam : tuple of float
        Lambda of each SENSE step.
    """

    schedule: str
    seed: int
    scan: str
    slice: int
    accel: int
    measured: bool
    psnr: float
    ssim: float
    x: tuple[float, ...]
    z: tuple[float, ...]
    lam: tuple[float, ...]


@torch.no_grad()
def score_probe(model: nn.Module, schedule: str, seed: int, probe: Probe) -> Score:
    """Reconstruct and score."""
    out: CascadeOutput = model(probe.problem.E, probe.problem.y, trace=True)
    trace = out.trace
    assert trace is not None
    return Score(
        schedule,
        seed,
        probe.scan,
        probe.slice,
        probe.accel,
        probe.measured,
        probe.psnr(out.image),
        probe.ssim(out.image),
        tuple(probe.psnr(image) for image in trace.x),
        tuple(probe.psnr(image) for image in trace.z),
        tuple(float(value) for value in trace.lam),
    )


def table_of(
    scores: Sequence[Score], schedule: str, accel: int, metric: str, measured: bool = False
) -> NDArray[np.float64]:
    """Scores of one schedule at one R, (seeds, scans, ...): slices of a scan are averaged.

    Parameters
    ----------
    scores : sequence of Score
        Of all schedules, seeds and probes.
    schedule, accel : str, int
        Which.
    metric : str
        "psnr", "ssim", or "x", "z" or "lam", which add an axis of iterations.
    measured : bool
        On measured scans instead of simulated ones.

    Raises
    ------
    ConfigError
        If a scan was not scored for every seed.
    """
    chosen = [s for s in scores if (s.schedule, s.accel, s.measured) == (schedule, accel, measured)]
    seeds = sorted({s.seed for s in chosen})
    scans = list(dict.fromkeys(s.scan for s in chosen))
    cells = [[[getattr(s, metric) for s in chosen if (s.seed, s.scan) == (a, b)] for b in scans] for a in seeds]
    if not cells or not all(cell for row in cells for cell in row):
        raise ConfigError(f"lambda benchmark: schedule {schedule!r} at R = {accel} has no score for some seed and scan")
    return np.array([[np.mean(cell, axis=0) for cell in row] for row in cells], np.float64)
