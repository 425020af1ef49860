"""Networks that TransMRSR is compared with: EDSR, SwinIR and MINet, without their last upsampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kascade.nets.swin import ResidualSwinGroup

__all__ = ["EDSR", "MINet", "SwinIR"]


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
        self.blocks = nn.ModuleList(_two_convolutions(width) for _ in range(blocks))
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


class ChannelAttentionBlock(nn.Module):
    """Two convolutions whose channels are weighed by what their means say, added to the input (RCAN's block)."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.layers = _two_convolutions(width)
        self.weigh = nn.Sequential(
            nn.Conv2d(width, width // reduction, 1), nn.ReLU(), nn.Conv2d(width // reduction, width, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, width, rows, columns) to the same."""
        features = self.layers(x)
        out: Tensor = x + features * self.weigh(features.mean((-2, -1), keepdim=True))
        return out


class StageIntegration(nn.Module):
    """What the stages of a network have found, each seen in the light of the others.

    Stages attend to each other by the similarity of their features, and the result is added by a share that is learned
    from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, stages: Tensor) -> Tensor:
        """Map (batch, stages, width, rows, columns) to the same."""
        flat = stages.flatten(2)
        unit = nn.functional.normalize(flat, dim=-1)
        mixed = (unit @ unit.mT).softmax(-1) @ flat
        return stages + self.share * mixed.view_as(stages)


class MINet(nn.Module):
    """Residual groups whose outputs are integrated across all stages, and a residual output.

    The branch of one contrast, for there is no second one here that could guide it.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels within.
    stages : int
        Residual groups.
    blocks : int
        Blocks with channel attention of each.
    reduction : int
        Channels of these attentions, a fraction of the width.

    References
    ----------
    Feng et al., Multi-contrast MRI super-resolution via a multi-stage integration network, MICCAI 2021.
    """

    stride = 1

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        stages: int = 6,
        blocks: int = 8,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.groups = nn.ModuleList(
            nn.Sequential(
                *(ChannelAttentionBlock(width, min(reduction, width)) for _ in range(blocks)),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(stages)
        )
        self.integrate = StageIntegration()
        self.join = nn.Conv2d(stages * width, width, 1)
        self.where = nn.Conv3d(1, 1, 3, padding=1)
        self.share = nn.Parameter(torch.zeros(1))
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        shallow = features = self.first(x)
        found = []
        for group in self.groups:
            features = features + group(features)
            found.append(features)
        joined = self.join(self.integrate(torch.stack(found, 1)).flatten(1, 2))
        weighed = features * torch.sigmoid(self.where(features[:, None])[:, 0])  # channel and place at once
        out: Tensor = self.last(shallow + joined + self.share * weighed)
        return out + x[:, : out.shape[1]]


def _two_convolutions(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
