"""StyleSwin: a generator of images by style-modulated transformer blocks with double window attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.equalized import EqualizedLinear, PixelNorm, blur_resample
from kascade.nets.swin import mlp
from kascade.nets.truncation import Truncation
from kascade.nets.windows import WindowAttention, head_count

__all__ = ["StyleBlock", "StyleSwin", "StyleSynthesis", "resolutions", "widths"]

WINDOW = 8
LATENTS = 2
"""Latents of one layer of the synthesis: one for each of its blocks."""


def resolutions(size: int) -> list[int]:
    """The sides 4, 8, ... of feature maps up to `size`.

    Raises
    ------
    ValueError
        If `size` is no power of two from 16 on.
    """
    levels = size.bit_length() - 1
    if size < 16 or 2**levels != size:
        raise ValueError(f"size is {size}; expected a power of two, 16 or more, such as 64, 128 or 256")
    return [2**level for level in range(2, levels + 1)]


def widths(size: int, width: int, max_width: int) -> dict[int, int]:
    """Channels at each resolution: `width` at full size, doubling with each halving, up to `max_width`."""
    return {r: min(width * size // r, max_width) for r in resolutions(size)}


class AdaIN(nn.Module):
    """Adaptive instance normalization: scale and shift of normalized channels come from a latent."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.style = EqualizedLinear(latent, 2 * channels)
        with torch.no_grad():
            self.style.bias[:channels] = 1

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Modulate (batch, rows, columns, channels) by (batch, latent)."""
        variance, mean = torch.var_mean(x, (1, 2), correction=0, keepdim=True)
        scale, shift = self.style(latent)[:, None, None].chunk(2, -1)
        out: Tensor = scale * (x - mean) * torch.rsqrt(variance + 1e-5) + shift
        return out


class StyleBlock(nn.Module):
    """Transformer block in the style of a latent, with double attention.

    Half of the heads, and of the channels, attend within windows, the other half within windows that are shifted by
    half their side.
    """

    def __init__(self, channels: int, size: int, latent: int, ratio: float = 4.0) -> None:
        super().__init__()
        window, heads = min(size, WINDOW), head_count(channels) // 2
        self.norm1, self.norm2 = AdaIN(channels, latent), AdaIN(channels, latent)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.regular = WindowAttention(channels // 2, size, window, heads)
        self.shifted = WindowAttention(channels // 2, size, window, heads, window // 2)
        self.mlp = mlp(channels, ratio)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Map (batch, size, size, channels) to the same."""
        qkv = self.qkv(self.norm1(x, latent)).unflatten(-1, (3, 2, -1))
        halves = (attend(qkv[..., n, :].flatten(-2)) for n, attend in enumerate((self.regular, self.shifted)))
        x = x + self.project(torch.cat(list(halves), -1))
        out: Tensor = x + self.mlp(self.norm2(x, latent))
        return out


class Upsample(nn.Module):
    """Doubles rows and columns bilinearly, maps the channels, and adds where each pixel is."""

    position: Tensor

    def __init__(self, channels: int, outputs: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.reduce = nn.Linear(channels, outputs, bias=False)
        self.strength = nn.Parameter(torch.zeros(1))
        self.register_buffer("position", _sinusoidal(2 * size, outputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, size, size, channels) to (batch, 2 size, 2 size, outputs)."""
        x = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.reduce(self.norm(x.permute(0, 2, 3, 1))) + self.strength * self.position
        return out


class StyleLayer(nn.Module):
    """Two style blocks, each with a latent of its own."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StyleBlock(channels, size, latent) for _ in range(LATENTS))

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Map (batch, size, size, channels) to the same, by latents (batch, 2, latent)."""
        for block, latent in zip(self.blocks, latents.unbind(1), strict=True):
            x = block(x, latent)
        return x


class StyleSynthesis(nn.Module):
    """From a learned constant to features of full size, in the style of two latents at each resolution.

    Parameters
    ----------
    size : int
        Rows and columns; a power of two. There is one size only.
    width, max_width : int
        As in `widths`.
    latent : int
        Features of a latent.
    """

    def __init__(self, size: int = 256, width: int = 64, max_width: int = 512, latent: int = 512) -> None:
        super().__init__()
        self.resolutions, self.widths = resolutions(size), widths(size, width, max_width)
        channels = [self.widths[r] for r in self.resolutions]
        self.constant = nn.Parameter(torch.randn(4, 4, channels[0]))
        self.layers = nn.ModuleList(StyleLayer(c, r, latent) for c, r in zip(channels, self.resolutions, strict=True))
        self.up = nn.ModuleList(
            Upsample(a, b, r) for a, b, r in zip(channels, channels[1:], self.resolutions, strict=False)
        )
        self.apply(_initialize)

    @property
    def latents(self) -> int:
        """How many latents an image takes."""
        return LATENTS * len(self.resolutions)

    def forward(self, latents: Tensor, adjust: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """Synthesize features.

        Parameters
        ----------
        latents : Tensor
            (batch, 2 * resolutions, latent).
        adjust : callable, optional
            Called as adjust(resolution, features) with the input of each layer, (batch, r, r, channels); what it
            returns is used instead.

        Returns
        -------
        list of Tensor
            Output of each layer, (batch, r, r, channels), from 4 x 4 to full size.
        """
        x = self.constant.expand(len(latents), -1, -1, -1)
        features: list[Tensor] = []
        for n, layer in enumerate(self.layers):
            if n > 0:
                x = self.up[n - 1](x)
            if adjust is not None:
                x = adjust(self.resolutions[n], x)
            x = layer(x, latents[:, LATENTS * n : LATENTS * (n + 1)])
            features.append(x)
        return features


class StyleSwin(nn.Module):
    """Generator of images from normal numbers: a mapping network, `StyleSynthesis`, and a pyramid of images.

    Parameters
    ----------
    size, width, max_width, latent
        As in `StyleSynthesis`.
    channels : int
        Of the images.
    mapping_layers : int
        Layers that map normal numbers to latents.
    clusters : int
        Centers of `truncation`, which is for those who use the generator: generating itself does not truncate.

    References
    ----------
    Zhang et al., StyleSwin, CVPR 2022. Defaults are its 256 x 256 generator with half its channels (multiplier 1).
    """

    def __init__(
        self,
        size: int = 256,
        width: int = 64,
        max_width: int = 512,
        latent: int = 512,
        channels: int = 1,
        mapping_layers: int = 8,
        clusters: int = 8,
    ) -> None:
        super().__init__()
        self.size, self.latent = size, latent
        layers = (EqualizedLinear(latent, latent, rate=0.01, activate=True) for _ in range(mapping_layers))
        self.mapping = nn.Sequential(PixelNorm(), *layers)
        self.synthesis = StyleSynthesis(size, width, max_width, latent)
        self.truncation = Truncation(latent, clusters)
        self.to_image = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in self.synthesis.widths.values())

    def forward(self, z: Tensor) -> Tensor:
        """Make images (batch, channels, size, size) of normal numbers (batch, latent)."""
        return self.draw(self.mapping(z))

    def draw(self, w: Tensor) -> Tensor:
        """Make images of mapped latents, (batch, latent): one for all layers."""
        return self.image(self.synthesis(w[:, None].expand(-1, self.synthesis.latents, -1)))

    def image(self, features: Sequence[Tensor]) -> Tensor:
        """The image of what `StyleSynthesis` gives: each layer draws what it adds, at its resolution."""
        parts = [draw(f.permute(0, 3, 1, 2)) for draw, f in zip(self.to_image, features, strict=True)]
        image: Tensor = parts[0]
        for part in parts[1:]:
            image = blur_resample(image, up=True) + part
        return image


def _sinusoidal(size: int, channels: int) -> Tensor:
    """Sines and cosines of row and column in octaves, (size, size, channels)."""
    quarter = -(-channels // 4)
    frequency = torch.exp(-math.log(10000.0) * torch.arange(quarter) / quarter)
    angle = torch.arange(1, size + 1)[:, None] * frequency
    waves = torch.cat((angle.sin(), angle.cos()), -1)
    rows, columns = waves[:, None].expand(-1, size, -1), waves[None].expand(size, -1, -1)
    return torch.cat((rows, columns), -1)[..., :channels].contiguous()


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
