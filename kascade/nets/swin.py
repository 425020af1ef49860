"""Swin blocks, residual groups of them, and the patch merging between resolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kascade.nets.windows import WindowAttention, head_count

__all__ = ["PatchMerging", "ResidualSwinGroup", "SwinBlock", "mlp"]


def mlp(channels: int, ratio: float) -> nn.Sequential:
    """Two linear layers with GELU between them."""
    hidden = int(channels * ratio)
    return nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))


class SwinBlock(nn.Module):
    """Window attention and an MLP, each behind a layer norm and added to its input.

    Parameters
    ----------
    channels, size, window, shift
        As in `WindowAttention`.
    ratio : float
        Hidden features of the MLP, relative to the channels.

    References
    ----------
    Liu et al., Swin Transformer, ICCV 2021.
    """

    def __init__(self, channels: int, size: int, window: int, shift: int, ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.attention = WindowAttention(channels, size, window, head_count(channels), shift)
        self.mlp = mlp(channels, ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, size, size, channels) to the same."""
        x = x + self.project(self.attention(self.qkv(self.norm1(x))))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ResidualSwinGroup(nn.Module):
    """Residual Swin transformer block (RSTB): Swin blocks, every second one shifted, a 3 x 3 convolution, a shortcut.

    Parameters
    ----------
    channels, size, window, ratio
        As in `SwinBlock`.
    depth : int
        Swin blocks.

    References
    ----------
    Liang et al., SwinIR, ICCV Workshops 2021.
    """

    def __init__(self, channels: int, size: int, window: int, depth: int = 2, ratio: float = 4.0) -> None:
        super().__init__()
        shift = window // 2 if window < size else 0
        self.blocks = nn.Sequential(
            *(SwinBlock(channels, size, window, shift if n % 2 else 0, ratio) for n in range(depth))
        )
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, size, size, channels) to the same."""
        features = self.blocks(x).permute(0, 3, 1, 2)
        out: Tensor = x + self.convolution(features).permute(0, 2, 3, 1)
        return out


class PatchMerging(nn.Module):
    """Halves rows and columns: four neighbors side by side, normalized, mapped linearly to `outputs` channels."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, rows, columns, channels) to (batch, rows / 2, columns / 2, outputs)."""
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        out: Tensor = self.reduce(self.norm(torch.cat(corners, -1)))
        return out
