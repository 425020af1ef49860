"""Restormer: a transformer whose attention runs over channels, so that it works at full resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.bands import BANDS, unshuffled_bands
from kascade.nets.local_filter import LocalFilter

__all__ = ["Restormer", "RestormerBlock", "RestormerEncoder"]


CORRECTION = 0.05
"""Unit of the corrections of a network that works on bands."""


class ChannelNorm(nn.Module):
    """Layer normalization over channels at each pixel; without bias the mean is not subtracted.

    The variance is taken about the mean in both cases, as in the authors' code.
    """

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (batch, channels, rows, columns)."""
        centered = x - x.mean(1, keepdim=True)
        scale = torch.rsqrt(centered.square().mean(1, keepdim=True) + 1e-5)  # twice as fast as var_mean on a CPU
        if self.bias is None:
            return x * (scale * self.weight[:, None, None])
        return centered * (scale * self.weight[:, None, None]) + self.bias[:, None, None]


class PointwiseConv(nn.Conv2d):
    """1 x 1 convolution without bias, as a product of matrices: on a CPU twice as fast at few channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (batch, in_channels, rows, columns)."""
        out: Tensor = (self.weight[:, :, 0, 0] @ x.flatten(2)).unflatten(-1, x.shape[-2:])
        return out


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA): a channels x channels attention map for each head.

    `attention` holds the map of the last call, (batch, heads, channels / heads, channels / heads), where
    `keep_attention` is set.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = PointwiseConv(channels, 3 * channels)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project = PointwiseConv(channels, channels)
        self.keep_attention = False
        self.attention: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (batch, channels, rows, columns)."""
        q, k, v = (t.unflatten(1, (self.heads, -1)).flatten(3) for t in self.depthwise(self.qkv(x)).chunk(3, dim=1))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (self.temperature * (q @ k.mT)).softmax(dim=-1)
        if self.keep_attention:
            self.attention = attention.detach()
        out: Tensor = self.project((attention @ v).flatten(1, 2).unflatten(-1, x.shape[-2:]))
        return out


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN): GELU(x1) * x2."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = PointwiseConv(channels, 2 * hidden)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = PointwiseConv(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (batch, channels, rows, columns) pixel neighborhood by pixel neighborhood."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)
        out: Tensor = self.project(F.gelu(gate) * value)
        return out


class RestormerBlock(nn.Module):
    """x + MDTA(LN(x)), then x + GDFN(LN(x))."""

    def __init__(self, channels: int, heads: int, expansion: float = 2.66, norm_bias: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels, norm_bias), ChannelNorm(channels, norm_bias)
        self.attention = TransposedAttention(channels, heads)
        self.feed_forward = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, rows, columns) to the same shape."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out


def _down(channels: int) -> nn.Sequential:
    """Half the resolution, twice the channels."""
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def _up(channels: int) -> nn.Sequential:
    """Twice the resolution, half the channels."""
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))


def _stage(channels: int, count: int, heads: int, expansion: float, norm_bias: bool) -> nn.Sequential:
    return nn.Sequential(*(RestormerBlock(channels, heads, expansion, norm_bias) for _ in range(count)))


class RestormerEncoder(nn.Module):
    """The first half of a Restormer: patch embedding, then four levels of blocks, the last being the bottleneck.

    With `bands` it sees an image in units of `DETAIL` as bands of fine, middle and coarse detail, companded, and each
    2 x 2 pixels as channels (pixel unshuffle): weak ghosts and noise stand beside strong edges from the first step on,
    and there is a quarter of the pixels. The other parameters are those of `Restormer`.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        blocks: Sequence[int],
        heads: Sequence[int],
        expansion: float,
        norm_bias: bool,
        bands: bool = False,
    ) -> None:
        super().__init__()
        self.bands, self.stride = bands, 16 if bands else 8
        widths = [width * 2**level for level in range(4)]
        seen = in_channels * BANDS * 4 if bands else in_channels
        self.embed = nn.Conv2d(seen, width, 3, padding=1, bias=False)
        self.stages = nn.ModuleList(
            _stage(w, n, h, expansion, norm_bias) for w, n, h in zip(widths, blocks, heads, strict=True)
        )
        self.down = nn.ModuleList(_down(w) for w in widths[:3])

    @property
    def blocks(self) -> list[RestormerBlock]:
        """All blocks, from the first to the last."""
        return [module for module in self.modules() if isinstance(module, RestormerBlock)]

    def forward(self, x: Tensor, inputs: list[Tensor] | None = None) -> list[Tensor]:
        """Features of the four levels, from the finest to the bottleneck, (batch, channels, rows, columns).

        Each block's input is appended to `inputs`, where that is given.
        """
        if self.bands:
            x = unshuffled_bands(x)
        features = self.embed(x)
        levels = []
        for level, stage in enumerate(self.stages):
            features = features if level == 0 else self.down[level - 1](features)
            for block in stage:  # type: ignore[attr-defined]
                if inputs is not None:
                    inputs.append(features)
                features = block(features)
            levels.append(features)
        return levels


class Restormer(nn.Module):
    """Encoder and decoder of Restormer blocks on four levels, with a residual output; untrained it is the identity.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels at full resolution (48 in the paper); they double at each level.
    blocks : sequence of int
        Blocks on levels 1 to 4, the last being the bottleneck; levels 1 to 3 of the decoder have as many.
    refinement : int
        Blocks after the decoder, at full resolution.
    heads : sequence of int
        Attention heads on levels 1 to 4.
    expansion : float
        Hidden channels of the feed-forward networks, relative to their input.
    norm_bias : bool
        Layer normalization with bias (the paper's choice for deblurring) or without (for denoising).
    guided : bool
        Let a map, see `forward`, weigh the features that the encoder hands to the decoder.
    bands : bool
        Work on half the resolution, on bands of detail, see `RestormerEncoder`: not in the paper; it learns much faster
        where the degradation is weak beside the image.
    kernel : int
        Filter the input at each pixel by a kernel of its own, of so many rows and columns, see `LocalFilter`, and add
        the correction to that; 0: to the input, as in the paper.

    Attributes
    ----------
    stride : int
        Rows and columns must be multiples of it: 8, with bands 16.

    Raises
    ------
    ValueError
        If there are kernels, and not as many channels out as in.

    References
    ----------
    Zamir et al., Restormer, CVPR 2022. Defaults are the paper's denoising configuration.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
        norm_bias: bool = False,
        guided: bool = False,
        bands: bool = False,
        kernel: int = 0,
    ) -> None:
        super().__init__()
        if kernel and in_channels != out_channels:
            raise ValueError(f"kernels need as many channels out as in, got {in_channels} in and {out_channels} out")
        widths = [width * 2**level for level in range(4)]
        self.encoder = RestormerEncoder(in_channels, width, blocks, heads, expansion, norm_bias, bands)
        self.bands, self.stride = bands, self.encoder.stride
        self.up = nn.ModuleList(_up(w) for w in reversed(widths[1:]))
        # Skips are concatenated; levels 3 and 2 reduce the channels again, level 1 keeps twice its width.
        self.reduce = nn.ModuleList(PointwiseConv(2 * w, w) for w in reversed(widths[1:3]))
        self.decoder = nn.ModuleList(
            _stage(w, n, h, expansion, norm_bias)
            for w, n, h in zip(
                (widths[2], widths[1], 2 * width), reversed(blocks[:3]), reversed(heads[:3]), strict=True
            )
        )
        self.refinement = _stage(2 * width, refinement, heads[0], expansion, norm_bias)
        self.last = nn.Conv2d(2 * width, out_channels * (4 if bands else 1), 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.filter = LocalFilter(2 * width, kernel, 2 if bands else 1) if kernel else None
        self.guidance = nn.Parameter(torch.zeros(3)) if guided else None

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Map (batch, in_channels, rows, columns), multiples of `stride`, to (batch, out_channels, rows, columns).

        A guide, (batch, 1, rows, columns), scales the skipped features of level l by 1 + g_l guide, g_l being learned.
        """
        levels = self.encoder(x)
        features = levels.pop()
        for step, (up, stage) in enumerate(zip(self.up, self.decoder, strict=True)):
            skip = levels.pop()
            if guide is not None and self.guidance is not None:
                weight = F.interpolate(guide, size=skip.shape[-2:], mode="bilinear", align_corners=False)
                skip = skip * (1 + self.guidance[2 - step] * weight)
            features = torch.cat((up(features), skip), dim=1)
            features = stage(features if step == 2 else self.reduce[step](features))
        features = self.refinement(features)
        out: Tensor = self.last(features)
        if self.bands:
            out = CORRECTION * F.pixel_shuffle(out, 2)
        return out + (x[:, : out.shape[1]] if self.filter is None else self.filter(x, features))
