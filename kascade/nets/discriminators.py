"""Networks that tell generated from real images: pix2pix's PatchGAN and SRGAN's."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

__all__ = ["PatchDiscriminator", "VGGDiscriminator"]


class PatchDiscriminator(nn.Module):
    """PatchGAN: convolutions that judge overlapping patches, of 70 x 70 px with three strided layers.

    Instance normalization, which pix2pix's batch normalization is at its batch size of 1.

    Parameters
    ----------
    in_channels : int
        Of input and image together.
    width : int
        Channels of the first layer (64 in the paper).
    layers : int
        Strided convolutions.

    References
    ----------
    Isola et al., CVPR 2017.
    """

    def __init__(self, in_channels: int, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        widths = [width * min(2**n, 8) for n in range(layers + 1)]
        chain: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for n, (i, o) in enumerate(pairwise(widths)):
            stride = 2 if n < layers - 1 else 1
            chain += [nn.Conv2d(i, o, 4, stride, 1, bias=False), nn.InstanceNorm2d(o, affine=True), nn.LeakyReLU(0.2)]
        self.chain = nn.Sequential(*chain, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of patches, (batch, 1, rows, columns), of images (batch, in_channels, rows, columns)."""
        out: Tensor = self.chain(x)
        return out


class VGGDiscriminator(nn.Module):
    """SRGAN's: eight 3 x 3 convolutions, every second with stride 2, the mean over pixels, two linear layers.

    Parameters
    ----------
    in_channels : int
        Of the images.
    width : int
        Channels of the first layer (64 in the paper).

    References
    ----------
    Ledig et al., CVPR 2017; the mean makes it independent of the size of images.
    """

    def __init__(self, in_channels: int, width: int = 16) -> None:
        super().__init__()
        chain: list[nn.Module] = [nn.Conv2d(in_channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        widths = [width * 2 ** (n // 2) for n in range(8)]
        for n, (i, o) in enumerate(pairwise(widths)):
            chain += [nn.Conv2d(i, o, 3, 2 - n % 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*chain)
        self.head = nn.Sequential(nn.Linear(widths[-1], 16 * width), nn.LeakyReLU(0.2), nn.Linear(16 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, 1) of images (batch, in_channels, rows, columns)."""
        out: Tensor = self.head(self.features(x).mean((-2, -1)))
        return out
