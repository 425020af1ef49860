"""The generator of SRGAN, without the enlargement: a chain of residual blocks."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SRResNet"]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.chain = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.chain(x)
        return out


class SRResNet(nn.Module):
    """9 x 9 convolution, residual blocks with a skip around them, 9 x 9 convolution: images of the same size.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels within (64 in the paper).
    blocks : int
        Residual blocks (16 in the paper).

    References
    ----------
    Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, CVPR 2017. Its
    last layers enlarge images; here they have their full size already.
    """

    stride = 1

    def __init__(self, in_channels: int = 3, out_channels: int = 3, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(in_channels, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(
            *(_Residual(width) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.last = nn.Conv2d(width, out_channels, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        features = self.first(x)
        out: Tensor = self.last(features + self.blocks(features))
        return out
