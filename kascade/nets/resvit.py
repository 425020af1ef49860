"""ResViT: residual convolutions whose bottleneck also holds transformers that share their weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResViT"]


class _Residual(nn.Module):
    """Two 3 x 3 convolutions with instance normalization and a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.chain = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.chain(x)
        return out


class _Tokens(nn.Module):
    """Features in and out of a transformer's tokens, a quarter of the resolution; the transformer is another's."""

    def __init__(self, width: int, tokens: int, grid: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(width, tokens, 3, 2, 1), nn.InstanceNorm2d(tokens), nn.ReLU(), nn.Conv2d(tokens, tokens, 3, 2, 1)
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(tokens, tokens, 2, 2),
            nn.InstanceNorm2d(tokens),
            nn.ReLU(),
            nn.ConvTranspose2d(tokens, width, 2, 2),
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, grid, grid))
        self.compress = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor, transformer: nn.Module) -> Tensor:
        features = self.down(x)
        size = features.shape[-2:]
        features = features + F.interpolate(self.position, size=size, mode="bilinear", align_corners=False)
        features = transformer(features.flatten(2).mT).mT.unflatten(-1, size)
        out: Tensor = self.compress(torch.cat((x, self.up(features)), dim=1))
        return out


class ResViT(nn.Module):
    """Encoder, aggregated residual transformer (ART) blocks, decoder.

    The first and the middle one of the blocks hold a transformer, the same in both; all end with a residual
    convolutional block.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width : int
        Channels at full resolution (64 in the paper); 4 x at the bottleneck, a quarter of the resolution.
    blocks : int
        ART blocks (9 in the paper).
    tokens : int
        Channels of the transformer (768 in the paper).
    layers, heads : int
        Of the transformer (12 and 12 in the paper).
    grid : int
        Side of the learned position embedding, which is stretched to each image.

    References
    ----------
    Dalmaz et al., ResViT: Residual Vision Transformers for Multimodal Medical Image Synthesis, IEEE TMI 41 (2022).
    """

    stride = 16

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        tokens: int = 768,
        layers: int = 12,
        heads: int = 12,
        grid: int = 16,
    ) -> None:
        super().__init__()
        encoder: list[nn.Module] = [nn.Conv2d(in_channels, width, 7, padding=3, padding_mode="reflect")]
        decoder: list[nn.Module] = []
        for w in (width, 2 * width):
            encoder += [nn.InstanceNorm2d(w), nn.ReLU(), nn.Conv2d(w, 2 * w, 3, 2, 1)]
            decoder = [
                nn.ConvTranspose2d(2 * w, w, 3, 2, 1, output_padding=1),
                nn.InstanceNorm2d(w),
                nn.ReLU(),
                *decoder,
            ]
        self.encoder = nn.Sequential(*encoder, nn.InstanceNorm2d(4 * width), nn.ReLU())
        self.decoder = nn.Sequential(*decoder, nn.Conv2d(width, out_channels, 7, padding=3, padding_mode="reflect"))
        layer = nn.TransformerEncoderLayer(
            tokens, heads, 4 * tokens, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, nn.LayerNorm(tokens), enable_nested_tensor=False)
        self.with_tokens = sorted({0, blocks // 2})
        self.tokens = nn.ModuleList(_Tokens(4 * width, tokens, grid) for _ in self.with_tokens)
        self.blocks = nn.ModuleList(_Residual(4 * width) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns), multiples of 16, to (batch, out_channels, rows, columns)."""
        features = self.encoder(x)
        for number, block in enumerate(self.blocks):
            if number in self.with_tokens:
                features = self.tokens[self.with_tokens.index(number)](features, self.transformer)
            features = block(features)
        out: Tensor = self.decoder(features)
        return out
