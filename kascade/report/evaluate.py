"""Evaluation of one volume against its target exactly as ``fastmri.evaluate`` does it."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import ShapeError
from kascade.report.metrics import nmse, psnr, ssim

__all__ = ["METRICS", "PairScore", "evaluate_pair"]

METRICS = ("nmse", "psnr", "ssim")
"""Names of the three metrics, in the order of tables."""


class PairScore(TypedDict):
    """Metrics of a volume, and whether it was cropped before they were taken."""

    nmse: float
    psnr: float
    ssim: float
    cropped: bool


def evaluate_pair(reconstruction: ArrayLike, target: ArrayLike, crop: bool = True) -> PairScore:
    """Metrics of a reconstructed volume.

    As ``fastmri.evaluate``: both are cut centrally to columns x columns of the target, then the maximum of the target
    volume is the peak of PSNR and SSIM. Where that package would fail because one of the two has fewer rows or
    columns than that, whole frames are compared.

    Parameters
    ----------
    reconstruction, target : array
        (slices, rows, columns), or (rows, columns) for one slice. Of complex images the magnitude is taken.
    crop : bool
        False compares whole frames.

    Returns
    -------
    PairScore
        Dictionary of "nmse", "psnr" (dB), "ssim" and "cropped": whether columns x columns were compared.

    Raises
    ------
    ShapeError
        If the images that remain differ in shape.
    ConfigError
        If an image is not finite or the target is nowhere positive.
    """
    x, t = _magnitude(reconstruction), _magnitude(target)
    if min(x.ndim, t.ndim) < 2:
        raise ShapeError(f"reconstruction is {x.shape}, target is {t.shape}; expected (slices, rows, columns)")
    columns = t.shape[-1]
    cropped = crop and columns <= min(*x.shape[-2:], t.shape[-2])
    if cropped:
        x, t = _center(x, columns), _center(t, columns)
    return {"nmse": nmse(x, t), "psnr": psnr(x, t), "ssim": ssim(x, t), "cropped": cropped}


def _magnitude(image: ArrayLike) -> NDArray[Any]:
    array = np.asarray(image)
    return np.abs(array) if np.iscomplexobj(array) else array


def _center(image: NDArray[Any], size: int) -> NDArray[Any]:
    top, left = ((n - size) // 2 for n in image.shape[-2:])
    return image[..., top : top + size, left : left + size]
