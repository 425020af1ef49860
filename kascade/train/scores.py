"""Scores of validation images: magnitudes, within the object."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kascade.report.metrics import ssim_map

__all__ = ["SUPPORT", "Score", "score"]

SUPPORT = 0.05
"""What is brighter than this part of the target's peak counts as object."""

CEILING_DB = 100.0
"""PSNR of an image without any error that float32 can show."""


class Score(NamedTuple):
    """PSNR in dB and structural similarity."""

    psnr: float
    ssim: float


def score(image: NDArray[Any], target: NDArray[Any]) -> Score | None:
    """Compare magnitudes where the target is brighter than 5 % of its peak.

    Parameters
    ----------
    image, target : array
        Complex or real, (rows, columns), at least 7 x 7.

    Returns
    -------
    Score or None
        PSNR with the target's peak, at most 100 dB, and the mean of the SSIM map; None where the target is zero.
    """
    x, t = np.abs(image), np.abs(target)
    peak = float(t.max())
    if peak == 0:
        return None
    inside = t > SUPPORT * peak
    error = float(np.mean((x - t)[inside] ** 2, dtype=np.float64))
    decibel = 10 * math.log10(peak**2 / error) if error > 0 else CEILING_DB
    return Score(min(decibel, CEILING_DB), float(ssim_map(x, t, peak)[1][inside].mean()))
