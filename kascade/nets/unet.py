"""The U-Net of fastMRI's baselines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["UNet"]


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """Twice: 3 x 3 convolution, instance normalization, leaky ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(out_channels),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers)


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    """Transposed 2 x 2 convolution of stride 2, instance normalization, leaky ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False),
        nn.InstanceNorm2d(out_channels),
        nn.LeakyReLU(0.2, inplace=True),
    )


class UNet(nn.Module):
    """U-Net with average pooling, instance normalization and, by default, a residual output.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images; 2 and 2 for real and imaginary part.
    channels : int
        Features at full resolution; they double at each level.
    levels : int
        Number of poolings. Rows and columns must be multiples of `stride` = 2**levels.
    residual : bool
        Add the input (its first `out_channels` channels) to the output; the last layer then starts at zero, so that an
        untrained network is the identity.

    References
    ----------
    Ronneberger et al., MICCAI 2015; the variant of Zbontar et al., fastMRI, arXiv:1811.08839.
    """

    def __init__(
        self, in_channels: int = 2, out_channels: int = 2, channels: int = 32, levels: int = 4, residual: bool = True
    ) -> None:
        super().__init__()
        self.residual, self.stride = residual, 2**levels
        widths = [channels * 2**level for level in range(levels + 1)]
        ins = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(_double_convolution(i, o) for i, o in zip(ins, widths, strict=True))
        self.up = nn.ModuleList(_up(w, w // 2) for w in reversed(widths[1:]))
        self.merge = nn.ModuleList(_double_convolution(w, w // 2) for w in reversed(widths[1:]))
        self.last = nn.Conv2d(channels, out_channels, 1)
        if residual:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        skips = []
        features = x
        for level, block in enumerate(self.down):
            if level > 0:
                features = nn.functional.avg_pool2d(features, 2)
            features = block(features)
            skips.append(features)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat((up(features), skips.pop()), dim=1))
        out: Tensor = self.last(features)
        return out + x[:, : out.shape[1]] if self.residual else out
