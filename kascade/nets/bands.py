"""Bands of fine, middle and coarse detail of images, and networks that see them at half the resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BANDS", "DETAIL", "OnBands", "average", "detail_bands", "unshuffled_bands"]

WINDOWS = (3, 5)  # pixels
BANDS = len(WINDOWS) + 1

DETAIL = 0.01
"""What counts as weak detail, where bright tissue is about 1, and air 0 or -1."""


class OnBands(nn.Module):
    """A network at half the resolution: it sees each 2 x 2 pixels, and their bands of detail, as channels.

    There is a quarter of the places, and weak detail stands beside strong edges from the first step on.

    Parameters
    ----------
    network : nn.Module
        Maps `inputs` (16) channels to `outputs` (4): the 2 x 2 pixels and their three bands to 2 x 2 pixels. What it
        adds to the first channels of its input is added to the image.

    Attributes
    ----------
    stride : int
        Rows and columns must be multiples of it: twice that of the network.
    size : int, optional
        Rows and columns, where the network has one size only: twice that.
    """

    inputs, outputs = 4 * (1 + BANDS), 4

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        size, stride = getattr(network, "size", None), getattr(network, "stride", 1)
        self.size, self.stride = size and 2 * size, 2 * stride

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 1, rows, columns) to the same."""
        seen = torch.cat((F.pixel_unshuffle(x, 2), unshuffled_bands(x)), dim=1)
        return F.pixel_shuffle(self.network(seen), 2)


def unshuffled_bands(x: Tensor) -> Tensor:
    """Bands of images in units of `DETAIL`, each 2 x 2 pixels as channels: (batch, 4 BANDS, rows / 2, columns / 2)."""
    return F.pixel_unshuffle(torch.cat(detail_bands(x / DETAIL), dim=1), 2)


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
