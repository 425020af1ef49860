"""The plain convolutional denoiser of MoDL."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

__all__ = ["ResidualCNN"]


class ResidualCNN(nn.Module):
    """Image plus a chain of 3 x 3 convolutions with batch normalization and, but for the last, ReLU: MoDL's denoiser.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images; the first `out_channels` of the input are added to the output.
    channels : int
        Features of the hidden layers.
    layers : int
        Convolutions, 2 or more.

    References
    ----------
    Aggarwal et al., MoDL, IEEE TMI 38 (2019), Fig. 1. Defaults are the paper's.
    """

    stride = 1

    def __init__(self, in_channels: int = 2, out_channels: int = 2, channels: int = 64, layers: int = 5) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be 2 or more, got {layers}")
        widths = [in_channels, *[channels] * (layers - 1), out_channels]
        chain: list[nn.Module] = []
        for i, o in pairwise(widths):
            # The normalization has a shift of its own, so that the convolution needs none.
            chain += [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
        self.noise = nn.Sequential(*chain[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        out: Tensor = self.noise(x)
        return x[:, : out.shape[1]] + out
