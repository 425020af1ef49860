"""Bands of fine, middle and coarse detail of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["average", "detail_bands"]

WINDOWS = (3, 5)  # pixels


def detail_bands(x: Tensor) -> list[Tensor]:
    """Three bands of images, (batch, channels, rows, columns), from fine to coarse, companded: sign(b) log(1 + |b|).

    Before they are companded they add up to `x`. Weak detail stays as it is, edges a hundred times stronger do not
    drown it.
    """
    bands = []
    for window in WINDOWS:
        coarse = average(x, window)
        bands.append(x - coarse)
        x = coarse
    return [band.sign() * torch.log1p(band.abs()) for band in (*bands, x)]


def average(x: Tensor, window: int) -> Tensor:
    """Mean over window x window pixels, at the border over those there are."""
    return F.avg_pool2d(x, window, stride=1, padding=window // 2, count_include_pad=False)
