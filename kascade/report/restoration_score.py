"""Scores of restored images: with a reference as the papers of restoration do, and without one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.stats import rankdata

from kascade.errors import ShapeError
from kascade.report.metrics import ssim_map

__all__ = ["NO_REFERENCE", "RestorationScore", "no_reference", "roc_auc", "score_restored"]

RANGE = 2.0
"""Of images in [-1, 1]."""

CEILING_DB = 100.0
LEVELS = 256
NO_REFERENCE = ("tenengrad", "entropy", "range")
"""Names of what `no_reference` gives."""


class RestorationScore(NamedTuple):
    """PSNR in dB, structural similarity, and root mean squared error of images in [-1, 1]."""

    psnr: float
    ssim: float
    rmse: float


def score_restored(image: ArrayLike, target: ArrayLike, head: ArrayLike) -> RestorationScore | None:
    """Compare images within the head, on the scale [-1, 1]: RMSE, PSNR = 20 log10(2 / RMSE), SSIM of range 2.

    Parameters
    ----------
    image, target : array
        Real, (rows, columns), at least 7 x 7, black at -1 and bright tissue at 1.
    head : array
        bool, (rows, columns).

    Returns
    -------
    RestorationScore or None
        None where there is no head.

    Raises
    ------
    ShapeError
        If the three differ in shape.
    """
    x, t, inside = (np.asarray(array) for array in (image, target, head))
    if not x.shape == t.shape == inside.shape or t.ndim != 2:
        raise ShapeError(
            f"image {x.shape}, target {t.shape}, head {inside.shape}; expected three equal (rows, columns)"
        )
    if not inside.any():
        return None
    rmse = math.sqrt(float(np.mean((x - t)[inside] ** 2, dtype=np.float64)))
    psnr = 20 * math.log10(RANGE / rmse) if rmse > 0 else CEILING_DB
    return RestorationScore(min(psnr, CEILING_DB), float(ssim_map(x, t, RANGE)[1][inside].mean()), rmse)


def no_reference(slices: ArrayLike, white: float) -> dict[str, NDArray[np.float64]]:
    """Tenengrad, entropy and range of gray values of each slice: what can be said of an image alone.

    Slices are turned into 8-bit gray values on one scale for all. Tenengrad is the mean of squared Sobel gradients
    (3 x 3, weights 1, 2, 1), entropy is that of the histogram of 256 gray values in bits, the range is the largest gray
    value less the smallest.

    Parameters
    ----------
    slices : array
        Magnitudes, (slices, rows, columns).
    white : float
        What becomes 255, brighter voxels, too. For images to be compared it must be the same.

    Returns
    -------
    dict
        For each name of `NO_REFERENCE` float64 (slices,).

    References
    ----------
    Pertuz et al., Pattern Recognition 46:1415 (2013): TENG, HISE, HISR.
    """
    x = np.asarray(slices, dtype=np.float64)
    if x.ndim != 3 or not x.size:
        raise ShapeError(f"no_reference: slices have shape {x.shape}; expected (slices, rows, columns)")
    gray = np.clip(np.rint(x * ((LEVELS - 1) / white)), 0, LEVELS - 1)
    return {
        "tenengrad": np.array([_tenengrad(image) for image in gray]),
        "entropy": np.array([_entropy(image) for image in gray]),
        "range": np.ptp(gray, axis=(1, 2)),
    }


def roc_auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the receiver operating characteristic, ties counting half; NaN where one class is absent.

    It is the probability that an example that has the property scores higher than one that has not.

    Parameters
    ----------
    scores : array
        (examples,), higher for the property.
    truth : array
        bool, (examples,): which have it.
    """
    s, t = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    with_it, without = int(t.sum()), int((~t).sum())
    if not with_it or not without:
        return math.nan
    return float((rankdata(s)[t].sum() - with_it * (with_it + 1) / 2) / (with_it * without))


def _tenengrad(gray: NDArray[Any]) -> float:
    down, right = (ndimage.sobel(gray, axis, mode="nearest") for axis in (0, 1))
    return float(np.mean(down**2 + right**2))


def _entropy(gray: NDArray[Any]) -> float:
    counts = np.bincount(gray.astype(np.int64).ravel(), minlength=LEVELS)
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0
