"""Score of an image against its own fully sampled k-space, inside the head, with the noise floor taken out.

The root sum of squares (RSS) of noisy coils has a noise floor: comparing with it as it is rewards the copying of noise.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import ConfigError, ShapeError
from kascade.report.metrics import SSIM_WINDOW, ssim_map

__all__ = ["floor_corrected", "rss_image", "scaled_to", "score_against_kspace", "score_against_rss"]

Image = NDArray[np.floating[Any]]


def score_against_kspace(image: ArrayLike, kspace: ArrayLike) -> dict[str, float]:
    """Score a reconstruction against the fully sampled, measured k-space that it stems from.

    Parameters
    ----------
    image : array
        Magnitude or complex, (rows, columns); its scale does not matter.
    kspace : array
        Complex, (coil, rows, columns), centered.

    Returns
    -------
    dict
        As `score_against_rss`.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.
    ConfigError
        If there is no head to score in, or the image is empty or not finite.
    """
    return score_against_rss(image, rss_image(kspace))


def score_against_rss(image: ArrayLike, full: ArrayLike) -> dict[str, float]:
    """Score a reconstruction against the RSS of its fully sampled k-space.

    Inside the head the target is the RSS without its noise floor (`floor_corrected`); over the frame it is the RSS as
    it is. For each of the two the image is first scaled by the one real factor that minimizes the squared error.

    Parameters
    ----------
    image : array
        Magnitude or complex, (rows, columns).
    full : array
        RSS of the fully sampled k-space, (rows, columns).

    Returns
    -------
    dict
        Inside the head: "psnr" (dB, the peak is the largest target value there), "ssim" (mean of the SSIM map) and
        "nrmse" (root of squared error over squared target); over the frame: "rss_psnr" and "rss_ssim".

    Raises
    ------
    ShapeError, ConfigError
        As `score_against_kspace`.
    """
    x, rss = np.abs(np.asarray(image)).astype(np.float64), np.asarray(full, np.float64)
    if x.shape != rss.shape or x.ndim != 2 or min(x.shape) < SSIM_WINDOW:
        raise ShapeError(
            f"reconstruction is {x.shape}, its full k-space gives {rss.shape}; expected two equal (rows, columns) of "
            f"at least {SSIM_WINDOW} x {SSIM_WINDOW}"
        )
    if not np.isfinite(x).all() or not x.any():
        raise ConfigError("reconstruction is zero everywhere or holds NaN or Inf; it has no score")
    target, head = floor_corrected(rss)

    inside = scaled_to(x, target, head)
    peak, mse = float(target[head].max()), float(np.mean((inside - target)[head] ** 2))
    similarity = ssim_map(inside, target, peak)[1]
    frame = scaled_to(x, rss, np.ones_like(head))
    rss_peak, rss_mse = float(rss.max()), float(np.mean((frame - rss) ** 2))
    return {
        "psnr": _decibel(peak, mse),
        "ssim": float(similarity[head].mean()),
        "nrmse": float(np.sqrt(mse / np.mean(target[head] ** 2))),
        "rss_psnr": _decibel(rss_peak, rss_mse),
        "rss_ssim": ssim_map(frame, rss, rss_peak)[0],
    }


def floor_corrected(rss: ArrayLike) -> tuple[Image, NDArray[np.bool_]]:
    """Target without the noise floor of the RSS, and the head in which to compare.

    Parameters
    ----------
    rss : array
        RSS of fully sampled, measured k-space, (rows, columns).

    Returns
    -------
    target : array
        sqrt(max(RSS^2 - floor^2, 0)), floor^2 being the mean of RSS^2 in the four corners, each a tenth of the rows
        by a tenth of the columns.
    head : boolean array
        The largest connected region above three medians of the corners, without its holes.

    Raises
    ------
    ConfigError
        If nothing stands out from the corners.
    """
    from scipy import ndimage

    image = np.asarray(rss, np.float64)
    ends = [(slice(n), slice(-n, None)) for n in (max(size // 10, 2) for size in image.shape)]
    corners = np.concatenate([image[corner].ravel() for corner in product(*ends)])
    target = np.sqrt(np.maximum(image**2 - np.mean(corners**2), 0))

    bright = ndimage.binary_opening(image > 3 * np.median(corners), iterations=2)
    label, regions = ndimage.label(bright)
    if not regions:
        raise ConfigError("no head found: nothing in the image exceeds three times the median of its corners")
    sizes = ndimage.sum(bright, label, np.arange(1, regions + 1))
    largest = label == 1 + np.argmax(sizes)
    head: NDArray[np.bool_] = ndimage.binary_fill_holes(ndimage.binary_closing(largest, iterations=5))
    if not target[head].any():
        raise ConfigError("no head found: inside the region that stands out the signal does not exceed the noise floor")
    return target, head


def rss_image(kspace: ArrayLike) -> Image:
    """Root sum of squares over the coils of the centered, orthonormal inverse Fourier transform.

    Parameters
    ----------
    kspace : array
        (coil, rows, columns).

    Returns
    -------
    array
        (rows, columns).

    Raises
    ------
    ShapeError
        If k-space has other axes.
    """
    y = np.asarray(kspace)
    if y.ndim != 3:
        raise ShapeError(f"k-space has shape {y.shape}; expected (coil, rows, columns)")
    shifted = np.fft.ifftshift(y, axes=(-2, -1))
    power = np.abs(np.fft.ifft2(shifted, norm="ortho")) ** 2
    image: Image = np.fft.fftshift(np.sqrt(power.sum(0)))
    return image


def scaled_to(image: Image, target: Image, where: NDArray[np.bool_]) -> Image:
    """Image times the real factor that minimizes its squared error to the target there.

    Raises
    ------
    ConfigError
        If the image is zero there.
    """
    x, t = image[where], target[where]
    energy = float((x * x).sum())
    if not energy:
        raise ConfigError("reconstruction is zero in the whole head; it has no score")
    return image * (float((x * t).sum()) / energy)


def _decibel(peak: float, mse: float) -> float:
    return float(10 * np.log10(peak**2 / mse)) if mse else float("inf")
