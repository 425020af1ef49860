"""HINet: two U-Nets in a row, half of whose channels are instance-normalized."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["HINet"]


class _Block(nn.Module):
    """Two 3 x 3 convolutions with a residual; half of the channels after the first may be instance-normalized."""

    def __init__(self, in_channels: int, out_channels: int, normalized: bool) -> None:
        super().__init__()
        self.identity = nn.Conv2d(in_channels, out_channels, 1)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.norm = nn.InstanceNorm2d(out_channels // 2, affine=True) if normalized else None
        self.relu = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        if self.norm is not None:
            half, rest = features.chunk(2, dim=1)
            features = torch.cat((self.norm(half), rest), dim=1)
        out: Tensor = self.relu(self.second(self.relu(features))) + self.identity(x)
        return out


class _Stage(nn.Module):
    """U-Net whose encoder takes features of another's encoder and decoder (cross-stage feature fusion)."""

    def __init__(self, channels: int, width: int, levels: int, fused: bool) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.encode = nn.ModuleList(_Block(i, o, True) for i, o in zip([width, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(w, w, 4, 2, 1, bias=False) for w in widths[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(w, w // 2, 2, 2) for w in reversed(widths[1:]))
        self.skip = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in reversed(widths[:-1]))
        self.decode = nn.ModuleList(_Block(2 * w, w, False) for w in reversed(widths[:-1]))
        count = levels - 1 if fused else 0
        self.from_encoder = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[:count])
        self.from_decoder = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[:count])

    def embed(self, x: Tensor) -> Tensor:
        out: Tensor = self.first(x)
        return out

    def forward(
        self, features: Tensor, other: tuple[list[Tensor], list[Tensor]] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Features of encoder and decoder on all levels but the lowest, from full resolution downwards."""
        encoded: list[Tensor] = []
        for level, block in enumerate(self.encode[:-1]):
            features = block(features)
            if other is not None:
                features = (
                    features + self.from_encoder[level](other[0][level]) + self.from_decoder[level](other[1][level])
                )
            encoded.append(features)
            features = self.down[level](features)
        features = self.encode[-1](features)
        decoded: list[Tensor] = []
        for up, skip, block, kept in zip(self.up, self.skip, self.decode, reversed(encoded), strict=True):
            features = block(torch.cat((up(features), skip(kept)), dim=1))
            decoded.append(features)
        return encoded, decoded[::-1]


class HINet(nn.Module):
    """Two stages of U-Nets with half instance normalization; the second sees the first's features and attention.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images, equal.
    width : int
        Channels at full resolution (64 in the paper).
    levels : int
        Levels of each U-Net (5 in the paper).

    References
    ----------
    Chen et al., HINet: Half Instance Normalization Network for Image Restoration, CVPR Workshops 2021.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3, width: int = 64, levels: int = 5) -> None:
        super().__init__()
        if in_channels != out_channels:
            raise ValueError(f"in_channels {in_channels} and out_channels {out_channels} must be equal")
        self.stride = 2 ** (levels - 1)
        self.one = _Stage(in_channels, width, levels, fused=False)
        self.two = _Stage(in_channels, width, levels, fused=True)
        # The supervised attention module: an image, and features weighed by what that image shows.
        self.attend = nn.ModuleDict(
            {
                "features": nn.Conv2d(width, width, 3, padding=1),
                "image": nn.Conv2d(width, out_channels, 3, padding=1),
                "weight": nn.Conv2d(out_channels, width, 3, padding=1),
            }
        )
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images of both stages, each (batch, channels, rows, columns)."""
        encoded, decoded = self.one(self.one.embed(x))
        image = x + self.attend["image"](decoded[0])
        weight = torch.sigmoid(self.attend["weight"](image))
        attended = self.attend["features"](decoded[0]) * weight + decoded[0]
        features = self.merge(torch.cat((self.two.embed(x), attended), dim=1))
        _, decoded = self.two(features, (encoded, decoded))
        return image, x + self.last(decoded[0])

    def forward(self, x: Tensor) -> Tensor:
        """Restore (batch, channels, rows, columns), rows and columns multiples of `stride`."""
        return self.stages(x)[1]
