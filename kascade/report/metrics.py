"""NMSE, PSNR and SSIM of image volumes: the numbers of fastMRI's leaderboard (``fastmri.evaluate``)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import ConfigError, ShapeError

__all__ = ["SSIM_WINDOW", "nmse", "psnr", "ssim", "ssim_map"]

SSIM_WINDOW = 7
"""Side of the uniform window, skimage's default, in px; no image may be smaller."""

RealArray = NDArray[np.floating[Any]]


def nmse(reconstruction: ArrayLike, target: ArrayLike) -> float:
    """Squared error over the squared norm of the target, ||reconstruction - target||^2 / ||target||^2.

    Parameters
    ----------
    reconstruction, target : array
        Real images (slices, rows, columns), or (rows, columns) for one slice.

    Returns
    -------
    float
        0 for a perfect reconstruction, 1 for an empty one.

    Raises
    ------
    ShapeError
        If the shapes differ or are not those of images.
    ConfigError
        If an image is complex or not finite, or the target is nowhere positive.
    """
    x, t = _checked(reconstruction, target)
    return float(np.linalg.norm(t - x) ** 2 / np.linalg.norm(t) ** 2)


def psnr(reconstruction: ArrayLike, target: ArrayLike, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(peak^2 / mean squared error).

    Parameters
    ----------
    reconstruction, target : array
        Real images (slices, rows, columns), or (rows, columns) for one slice.
    peak : float, optional
        The largest value of the whole target volume where it is not given.

    Returns
    -------
    float
        Infinite where the two are equal.

    Raises
    ------
    ShapeError, ConfigError
        As `nmse`.
    """
    x, t = _checked(reconstruction, target)
    error = float(np.mean((t - x) ** 2, dtype=np.float64))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(_peak(peak, t) ** 2 / error))


def ssim(reconstruction: ArrayLike, target: ArrayLike, peak: float | None = None) -> float:
    """Structural similarity, the mean over slices (skimage's, uniform window of 7 x 7).

    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 13:600 (2004).

    Parameters
    ----------
    reconstruction, target : array
        Real images (slices, rows, columns), or (rows, columns) for one slice, at least 7 x 7.
    peak : float, optional
        Range of the data: the largest value of the whole target volume where it is not given.

    Returns
    -------
    float
        1 for a perfect reconstruction.

    Raises
    ------
    ShapeError, ConfigError
        As `nmse`; ShapeError also for images smaller than the window.
    """
    x, t = _checked(reconstruction, target)
    if min(t.shape[-2:]) < SSIM_WINDOW:
        raise ShapeError(f"SSIM needs images of at least {SSIM_WINDOW} x {SSIM_WINDOW}; these are {t.shape[-2:]}")
    data_range = _peak(peak, t)
    return float(np.mean([ssim_map(xi, ti, data_range)[0] for xi, ti in zip(x, t, strict=True)]))


def ssim_map(reconstruction: RealArray, target: RealArray, peak: float) -> tuple[float, RealArray]:
    """Structural similarity of one slice: its mean where the window lies within the image, and the map.

    Parameters
    ----------
    reconstruction, target : array
        Real, (rows, columns), at least 7 x 7.
    peak : float
        Range of the data.

    Returns
    -------
    mean : float
    map : array
        (rows, columns).
    """
    from skimage import metrics

    compare: Any = metrics.structural_similarity  # comes without types
    mean, similarity = compare(target, reconstruction, data_range=peak, full=True)
    return float(mean), similarity


def _checked(reconstruction: ArrayLike, target: ArrayLike) -> tuple[RealArray, RealArray]:
    """Return both as (slices, rows, columns) in the precision they came in, as the fastmri package computes."""
    x, t = np.asarray(reconstruction), np.asarray(target)
    if x.shape != t.shape or t.ndim not in (2, 3) or not t.size:
        raise ShapeError(
            f"reconstruction is {x.shape}, target is {t.shape}; expected two equal (slices, rows, columns) or "
            "(rows, columns)"
        )
    for name, image in (("reconstruction", x), ("target", t)):
        if np.iscomplexobj(image):
            raise ConfigError(f"{name} is complex; metrics compare real images: take the magnitude")
        if not np.isfinite(image).all():
            raise ConfigError(f"{name} holds NaN or Inf; no metric is defined")
    if not t.max() > 0:
        raise ConfigError("target is nowhere positive; no metric is defined")
    x, t = (image if np.issubdtype(image.dtype, np.floating) else image.astype(np.float64) for image in (x, t))
    return (x, t) if t.ndim == 3 else (x[None], t[None])


def _peak(peak: float | None, target: RealArray) -> float:
    if peak is None:
        return float(target.max())
    if not 0 < peak < np.inf:
        raise ConfigError(f"peak {peak} is not a positive number")
    return float(peak)
