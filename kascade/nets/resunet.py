"""A small residual U-Net without biases or normalization: scaling its input scales its output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResUNet"]


class ResUNet(nn.Module):
    """U-Net of residual blocks that adds a correction to its input.

    Every layer is a convolution without bias or a ReLU, so f(c x) = c f(x) for c > 0: strength of noise and of signal
    count only relative to each other, which lets such networks work at noise levels that they were not trained on. The
    last layer starts at zero: an untrained network is the identity.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output; the first `out_channels` of the input are what is corrected.
    channels : int
        Channels at full resolution; each level doubles them.
    levels : int
        How often the resolution is halved. Rows and columns must be multiples of 2**levels, see `stride`.
    blocks : int
        Residual blocks (convolution, ReLU, convolution) per level, on the way down and on the way up.

    References
    ----------
    The bias-free design: Mohan et al., Robust and interpretable blind image denoising via bias-free convolutional
    neural networks, ICLR 2020. The layout, with skips that are added: Zhang et al., Plug-and-play image restoration
    with deep denoiser prior (DRUNet), IEEE TPAMI 44 (2022).
    """

    def __init__(
        self, in_channels: int = 2, out_channels: int = 2, channels: int = 24, levels: int = 2, blocks: int = 2
    ) -> None:
        super().__init__()
        self.stride = 2**levels
        widths = [channels * 2**level for level in range(levels + 1)]
        self.head = _convolution(in_channels, channels)
        self.down = nn.ModuleList(_blocks(width, blocks) for width in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2, bias=False) for width in widths[:-1])
        self.bottom = _blocks(widths[-1], blocks)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False) for width in reversed(widths[:-1])
        )
        self.up = nn.ModuleList(_blocks(width, blocks) for width in reversed(widths[:-1]))
        self.tail = _convolution(channels, out_channels)
        nn.init.zeros_(self.tail.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        features = self.head(x)
        skips = []
        for down, shrink in zip(self.down, self.shrink, strict=True):
            features = down(features)
            skips.append(features)
            features = shrink(features)
        features = self.bottom(features)
        for grow, up in zip(self.grow, self.up, strict=True):
            features = up(grow(features) + skips.pop())
        correction: Tensor = self.tail(features)
        return x[:, : correction.shape[1]] + correction


class _Residual(nn.Module):
    """x + convolution(ReLU(convolution(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(width, width), _convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= 0.5  # residual sums grow otherwise
    return layer


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(count)))
