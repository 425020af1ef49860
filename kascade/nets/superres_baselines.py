"""Networks that TransMRSR is compared with: EDSR and SwinIR, without their last upsampling."""

from __future__ import annotations

from torch import Tensor, nn

from kascade.nets.swin import ResidualSwinGroup

__all__ = ["EDSR", "SwinIR"]


class EDSR(nn.Module):
    """Residual blocks without normalization between two convolutions, and a residual output.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels within.
    blocks : int
        Residual blocks.
    scale : float
        Factor of each block's output, below 1 where the network is wide.

    References
    ----------
    Lim et al., EDSR, CVPR Workshops 2017. Defaults are its baseline; 256, 32 and 0.1 its large network.
    """

    stride = 1

    def __init__(
        self, in_channels: int = 1, out_channels: int = 1, width: int = 64, blocks: int = 16, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(blocks)
        )
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        shallow = features = self.first(x)
        for block in self.blocks:
            features = features + self.scale * block(features)
        out: Tensor = self.last(shallow + self.after(features))
        return out + x[:, : out.shape[1]]


class SwinIR(nn.Module):
    """Residual Swin transformer groups at full size between two convolutions, and a residual output.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    size : int
        Rows and columns; `super_resolve` cuts larger images into tiles.
    width : int
        Channels within.
    groups, depth : int
        Residual groups, and Swin blocks of each.
    window : int
        Side of the windows of attention; divides `size`.
    ratio : float
        Hidden features of the MLPs, relative to the width.

    References
    ----------
    Liang et al., SwinIR, ICCV Workshops 2021, in the head count of Swin transformers here (one for 32 channels, at
    least 4). Defaults are its lightweight network; 180, 6 and 6 its classical one.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        size: int = 64,
        width: int = 60,
        groups: int = 4,
        depth: int = 6,
        window: int = 8,
        ratio: float = 2.0,
    ) -> None:
        super().__init__()
        self.size, self.stride = size, size
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.groups = nn.Sequential(*(ResidualSwinGroup(width, size, window, depth, ratio) for _ in range(groups)))
        self.last_norm = nn.LayerNorm(width)
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, size, size) to (batch, out_channels, size, size)."""
        shallow = self.first(x)
        deep = self.last_norm(self.groups(self.norm(shallow.permute(0, 2, 3, 1))))
        out: Tensor = self.last(shallow + self.after(deep.permute(0, 3, 1, 2)))
        return out + x[:, : out.shape[1]]
