"""TransMRSR: super-resolution by a transformer whose decoder is a pretrained generator of brains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kascade.nets.equalized import EqualizedConv2d, EqualizedLinear, scaled_leaky_relu
from kascade.nets.styleswin import WINDOW, StyleSwin, StyleSynthesis
from kascade.nets.swin import PatchMerging, ResidualSwinGroup
from kascade.nets.truncation import Truncation

__all__ = ["TransMRSR"]


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between them, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, rows, columns) to the same."""
        out: Tensor = x + self.layers(x)
        return out


def _residual_convolutions(inputs: int, channels: int, blocks: int = 2) -> nn.Sequential:
    first = nn.Conv2d(inputs, channels, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), *(ResidualBlock(channels) for _ in range(blocks)))


class Encoder(nn.Module):
    """Swin groups and patch merging from full size down to 4 x 4."""

    def __init__(self, widths: Mapping[int, int], depth: int) -> None:
        super().__init__()
        sides = sorted(widths, reverse=True)
        self.norm = nn.LayerNorm(widths[sides[0]])
        self.groups = nn.ModuleList(ResidualSwinGroup(widths[r], r, min(r, WINDOW), depth) for r in sides[:-1])
        self.merge = nn.ModuleList(PatchMerging(widths[r], widths[r // 2]) for r in sides[:-1])

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Map (batch, size, size, channels) to features (batch, r, r, channels) at each resolution r below."""
        features = {}
        x = self.norm(x)
        for group, merge in zip(self.groups, self.merge, strict=True):
            x = merge(group(x))
            features[x.shape[1]] = x
        return features


class ScaleAndShift(nn.Module):
    """Channel-wise scale and shift (CWSS): encoder features modulate the first half of the decoder's channels.

    The scale begins at 1 and the shift at 0, so that a pretrained decoder draws what it was trained to.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = self._branch(channels), self._branch(channels)

    @staticmethod
    def _branch(channels: int) -> nn.ModuleList:
        last = EqualizedConv2d(channels, channels // 2, 3)
        nn.init.zeros_(last.weight)
        return nn.ModuleList((EqualizedConv2d(channels, channels, 3), last))

    def forward(self, features: Tensor, encoded: Tensor) -> Tensor:
        """Modulate `features` by `encoded`, both (batch, r, r, channels)."""
        image = encoded.permute(0, 3, 1, 2)
        scale, shift = (
            last(scaled_leaky_relu(first(image))).permute(0, 2, 3, 1) for first, last in (self.scale, self.shift)
        )
        changed, kept = features.chunk(2, -1)
        return torch.cat((changed * (1 + scale) + shift, kept), -1)


class Modulations(nn.ModuleDict):
    """A `ScaleAndShift` for each resolution that has one, by its side; elsewhere features stay as they are."""

    @classmethod
    def below(cls, size: int, widths: Mapping[int, int]) -> Modulations:
        """For all resolutions of `widths` below full size."""
        return cls({str(r): ScaleAndShift(channels) for r, channels in widths.items() if r < size})

    def forward(self, r: int, features: Tensor, encoded: Mapping[int, Tensor]) -> Tensor:
        """Modulate features by those of `encoded` at their resolution, both (batch, r, r, channels)."""
        out: Tensor = self[str(r)](features, encoded[r]) if str(r) in self else features
        return out


class TransMRSR(nn.Module):
    """Restore interpolated thick slices: shallow convolutions, Swin encoder, generative decoder, residual output.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    size : int
        Rows and columns, a power of two; the decoder's learned constant allows one size only. `as_prior` and
        `super_resolve` cut larger images into tiles.
    width, max_width : int
        Channels at full size, and at most.
    latent : int
        Features of a latent.
    depth : int
        Swin blocks of each group of the encoder.
    truncation : bool
        Draw latents to the centers of those that the generator was trained on.
    encoder_features : bool
        Modulate the decoder by the encoder's features at all resolutions (without: latents alone).
    skip : bool
        Add the shallow features to those of the decoder. These then have a learned share, which begins at 0.01: they
        are ten times as strong as the shallow ones, and drown them for hundreds of steps otherwise.

    Notes
    -----
    `load_prior` takes over a pretrained `StyleSwin`, and belongs after all other initialization. Channels and heads
    follow Table "C(r)" of the method; head counts are those of each resolution, attention is scaled by d^-1/2, and the
    nearest center is taken, where the published code errs.

    References
    ----------
    Huang et al., TransMRSR: Transformer-based Self-Distilled Generative Prior for Brain MRI Super-Resolution, 2023.
    Defaults are its 256 x 256 network.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        size: int = 256,
        width: int = 64,
        max_width: int = 512,
        latent: int = 512,
        depth: int = 2,
        truncation: bool = True,
        encoder_features: bool = True,
        skip: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.stride = size, size
        self.out_channels = out_channels
        self.shallow = _residual_convolutions(in_channels, width)
        self.decoder = StyleSynthesis(size, width, max_width, latent)
        plan, deepest = self.decoder.widths, self.decoder.widths[4]
        self.encoder = Encoder(plan, depth)
        self.latent_norm = nn.LayerNorm(deepest)
        self.to_latents = EqualizedLinear(16 * deepest, self.decoder.latents * latent, rate=0.01, activate=True)
        self.truncation = Truncation(latent) if truncation else None
        self.modulate = Modulations.below(size, plan)
        if not encoder_features:
            self.modulate = Modulations()
        self.share = nn.Parameter(torch.tensor(0.01)) if skip else None
        self.restore = _residual_convolutions(width, width)
        self.output = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, size, size) to (batch, out_channels, size, size)."""
        shallow = self.shallow(x)
        encoded = self.encoder(shallow.permute(0, 2, 3, 1))
        deep = self.decoder(self._latents(encoded[4]), lambda r, features: self.modulate(r, features, encoded))
        features = deep[-1].permute(0, 3, 1, 2)
        if self.share is not None:
            features = shallow + self.share * features
        out: Tensor = x[:, : self.out_channels] + self.output(self.restore(features))
        return out

    def _latents(self, deepest: Tensor) -> Tensor:
        latents: Tensor = self.to_latents(self.latent_norm(deepest).flatten(1))
        latents = latents.unflatten(1, (self.decoder.latents, -1))
        return latents if self.truncation is None else self.truncation(latents)

    def load_prior(self, generator: StyleSwin, *, freeze: bool = False) -> None:
        """Start the decoder from a pretrained generator, and truncate to its centers.

        Parameters
        ----------
        generator : StyleSwin
            Of the same size, widths and latents, with centers.
        freeze : bool
            Keep the decoder as it is in training.

        Raises
        ------
        ValueError
            If the generator is another, or the network truncates and the generator has no centers.
        """
        if self.truncation is not None and not bool(generator.truncation.given):
            raise ValueError("a network with truncation needs a generator with centers: kascade latents finds them")
        try:
            self.decoder.load_state_dict(generator.synthesis.state_dict())
        except RuntimeError as error:
            raise ValueError(
                f"the generator has other sizes than size {self.size}, widths {self.decoder.widths}, and the latents "
                "of the network"
            ) from error
        if self.truncation is not None:
            self.truncation.set_centers(generator.truncation.centers)
        self.freeze_prior(freeze)

    def freeze_prior(self, freeze: bool) -> None:
        """Keep the decoder as it is in training, or not."""
        self.decoder.requires_grad_(not freeze)
