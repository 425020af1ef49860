"""Paired differences with confidence intervals, where both trainings (seeds) and test scans are samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kascade.errors import ShapeError

__all__ = ["Difference", "paired_difference"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences.

    Attributes
    ----------
    mean : float
        Over seeds and scans.
    low, high : float
        Ends of the 95 % interval; NaN where there is one difference only.
    freedom : float
        Degrees of freedom of its t distribution.
    by_seed : tuple of float
        Mean over the scans for each seed.
    """

    mean: float
    low: float
    high: float
    freedom: float
    by_seed: tuple[float, ...]


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Mean of first - second with its 95 % t interval.

    Pairs share seed and scan. Both are taken as drawn at random: the interval is for trainings with other seeds, tested
    on other scans. With MS the mean squares of the two-way table of differences, for S seeds and N scans, the variance
    of the mean is (MS_seed + max(MS_scan - MS_rest, 0)) / (S N), with (MS_seed + max(MS_scan - MS_rest, 0))^2 (S - 1) /
    MS_seed^2 degrees of freedom, at most those of seeds or scans, whichever are more: few seeds that disagree give a
    wide interval. With one seed (or one scan) it is the plain paired t interval over the scans (or seeds), and tells
    nothing of other seeds (or scans).

    Parameters
    ----------
    first, second : array
        Scores, (seeds, scans).

    Raises
    ------
    ShapeError
        If they differ in shape, or are not 2-D.

    References
    ----------
    Hillis, A comparison of denominator degrees of freedom methods for multiple observer ROC analysis, Statistics in
    Medicine 26 (2007): seeds are the readers, scans the cases.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ShapeError(f"paired_difference: scores {a.shape} and {b.shape}; expected two equal (seeds, scans)")
    d = a - b
    seeds, scans = d.shape
    mean, by_seed, by_scan = float(d.mean()), d.mean(1), d.mean(0)
    if d.size == 1:
        return Difference(mean, math.nan, math.nan, 0.0, (mean,))
    if seeds == 1 or scans == 1:
        variance, freedom = float(d.var(ddof=1)) / d.size, float(d.size - 1)
    else:
        rest = d - by_seed[:, None] - by_scan[None] + mean
        ms_seed = scans * float(by_seed.var(ddof=1))
        ms_scan = seeds * float(by_scan.var(ddof=1))
        ms_rest = float((rest**2).sum()) / ((seeds - 1) * (scans - 1))
        total = ms_seed + max(ms_scan - ms_rest, 0.0)
        variance = total / d.size
        freedom = min(total**2 * (seeds - 1) / ms_seed**2 if ms_seed else math.inf, max(seeds, scans) - 1.0)
    half = _quantile(freedom) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half, freedom, tuple(float(v) for v in by_seed))


def _quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + CONFIDENCE / 2, freedom))
