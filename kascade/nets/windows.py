"""Attention within square windows, with learned biases for relative positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["WindowAttention", "from_windows", "head_count", "to_windows"]


def head_count(channels: int) -> int:
    """Attention heads of a layer: one for 32 channels, but at least four."""
    return max(channels // 32, 4)


def to_windows(x: Tensor, window: int) -> Tensor:
    """Cut (batch, rows, columns, channels) into (batch * windows, window^2, channels)."""
    batch, rows, columns, channels = x.shape
    x = x.view(batch, rows // window, window, columns // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window**2, channels)


def from_windows(x: Tensor, rows: int, columns: int) -> Tensor:
    """Undo `to_windows`."""
    window, channels = round(x.shape[1] ** 0.5), x.shape[2]
    x = x.view(-1, rows // window, columns // window, window, window, channels)
    return x.transpose(2, 3).reshape(-1, rows, columns, channels)


class WindowAttention(nn.Module):
    """Multi-head attention within windows, which may be shifted.

    Shifted windows wrap around the image; a mask keeps pixels that are no neighbors apart.

    Parameters
    ----------
    channels : int
        Of queries, keys and values.
    size : int
        Rows and columns of the image.
    window : int
        Side of a window; divides `size`.
    heads : int
    shift : int
        By how much windows are moved down and to the right; 0: not at all.

    References
    ----------
    Liu et al., Swin Transformer, ICCV 2021.
    """

    mask: Tensor | None
    index: Tensor

    def __init__(self, channels: int, size: int, window: int, heads: int, shift: int = 0) -> None:
        super().__init__()
        if channels % heads or size % window:
            raise ValueError(
                f"attention over {channels} channels in {heads} heads, image {size}, windows {window}: heads must "
                "divide the channels, and windows the image"
            )
        self.size, self.window, self.heads, self.shift = size, window, heads, shift
        self.bias = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * window - 1) ** 2, heads), std=0.02))
        self.register_buffer("index", _relative_index(window), persistent=False)
        self.register_buffer("mask", _shift_mask(size, window, shift) if shift else None, persistent=False)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map queries, keys and values, (batch, size, size, 3 * channels), to (batch, size, size, channels)."""
        if self.shift:
            qkv = qkv.roll((-self.shift, -self.shift), (1, 2))
        split = to_windows(qkv, self.window).unflatten(-1, (3, self.heads, -1))
        q, k, v = (t.transpose(1, 2) for t in split.unbind(2))
        bias = self.bias[self.index].permute(2, 0, 1)[None]  # in four axes, which torch's quick kernels ask for
        if self.mask is not None:
            bias = (bias + self.mask[:, None]).repeat(len(q) // len(self.mask), 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        image = from_windows(out.transpose(1, 2).flatten(2), self.size, self.size)
        return image.roll((self.shift, self.shift), (1, 2)) if self.shift else image


def _relative_index(window: int) -> Tensor:
    """Which bias belongs to a pair of positions in a window, (window^2, window^2)."""
    place = torch.arange(window)
    rows, columns = (t.flatten() for t in torch.meshgrid(place, place, indexing="ij"))
    difference = [(t[:, None] - t[None]) + window - 1 for t in (rows, columns)]
    return difference[0] * (2 * window - 1) + difference[1]


def _shift_mask(size: int, window: int, shift: int) -> Tensor:
    """0 between pixels of one region, -100 between those that wrapping brought together, (windows, w^2, w^2)."""
    region = torch.zeros(size)
    region[size - window : size - shift] = 1
    region[size - shift :] = 2
    label = (3 * region[:, None] + region[None])[None, :, :, None]
    label = to_windows(label, window)[..., 0]
    return -100.0 * (label[:, :, None] != label[:, None, :]).float()
