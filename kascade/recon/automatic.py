"""Data scaling and the regularization weights that work unattended."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["automatic_weight", "image_scale", "noise_level"]

SCALE_QUANTILE = 0.99


def image_scale(image: Tensor) -> float:
    """99th percentile of the magnitude: what counts as bright, whatever the units.

    Parameters
    ----------
    image : Tensor
        Complex (rows, columns), or (set, rows, columns), whose RSS over sets is meant.
    """
    magnitude = image.abs() if image.ndim == 2 else torch.linalg.vector_norm(image, dim=0)
    return float(torch.quantile(magnitude.flatten().float(), SCALE_QUANTILE))


def noise_level(y: Tensor) -> float | None:
    """Standard deviation of the complex noise in k-space, from the quietest of its four corners.

    Parameters
    ----------
    y : Tensor
        k-space (coil, rows, columns). Samples that are exactly zero were not acquired.

    Returns
    -------
    float or None
        RMS over coils of the corner's samples (a corner is a tenth of the rows by a tenth of the columns); None where
        no corner holds acquired samples, as in elliptical or zero-padded k-space. An upper bound where signal reaches
        there.
    """
    r, c = (max(n // 10, 2) for n in y.shape[-2:])
    corners = [y[:, a, b] for a in (slice(r), slice(-r, None)) for b in (slice(c), slice(-c, None))]
    levels = [float(s.abs().square().mean().sqrt()) for s in (v[v != 0] for v in corners) if s.numel() >= 16]
    return min(levels) if levels else None


def automatic_weight(y: Tensor, scale: float, per_noise: float, least: float, without_noise: float) -> float:
    """Regularization weight relative to `scale`.

    `per_noise` times the noise level, but no less than `least` (with less, the iterations do not converge in reasonable
    number); `without_noise` where the noise level cannot be told.
    """
    noise = noise_level(y)
    return without_noise if noise is None else max(per_noise * noise / scale, least)
