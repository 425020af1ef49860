"""The generator of pix2pix: a U-Net of strided convolutions down to very few pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Pix2Pix"]


class Pix2Pix(nn.Module):
    """U-Net of 4 x 4 convolutions of stride 2, with skips at every level and dropout in the innermost ones.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels after the first convolution (64 in the paper); they double up to 8 x.
    levels : int
        Strided convolutions (8 in the paper, for 256 x 256 px).
    dropout : float
        Of the three innermost decoder levels but the last.

    Notes
    -----
    Instance normalization, which the paper's batch normalization is at its batch size of 1; the innermost level has
    none. The output is not limited to [-1, 1]: bright vessels exceed it.

    References
    ----------
    Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        levels: int = 6,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.stride = 2**levels
        widths = [width * min(2**n, 8) for n in range(levels)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for n, (i, o) in enumerate(zip([in_channels, *widths[:-1]], widths, strict=True)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if n else []
            layers.append(nn.Conv2d(i, o, 4, 2, 1))
            if 0 < n < levels - 1:
                layers.append(nn.InstanceNorm2d(o, affine=True))
            self.down.append(nn.Sequential(*layers))
        for n in reversed(range(levels)):
            i = widths[n] * (1 if n == levels - 1 else 2)
            layers = [nn.ReLU(), nn.ConvTranspose2d(i, widths[n - 1] if n else out_channels, 4, 2, 1)]
            if n:
                layers.append(nn.InstanceNorm2d(widths[n - 1], affine=True))
            if levels - 4 <= n < levels - 1 and n > 1:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns), multiples of `stride`, to (batch, out_channels, rows, columns)."""
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.up[0](skips.pop())
        for up in self.up[1:]:
            x = up(torch.cat((x, skips.pop()), dim=1))
        return x
