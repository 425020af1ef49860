"""GFP-GAN: a U-Net that asks a pretrained generator for what the image lacks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.equalized import EqualizedLinear
from kascade.nets.styleswin import StyleSwin
from kascade.nets.transmrsr import Modulations, ResidualBlock

__all__ = ["GFPGAN"]


class GFPGAN(nn.Module):
    """Restore an image by drawing it anew: the output is the generator's image, nothing of the input is added to it.

    A convolutional U-Net gives a latent for each layer of the generator and, at each resolution, features that scale
    and shift half of its channels. The generator is the `StyleSwin` that TransMRSR takes its decoder from, so that the
    two can be compared; the paper has a StyleGAN2, and losses for faces.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    size : int
        Rows and columns, a power of two; the generator has one size only.
    width, max_width, latent
        As in `StyleSwin`.

    References
    ----------
    Wang et al., Towards real-world blind face restoration with generative facial prior, CVPR 2021.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        size: int = 256,
        width: int = 64,
        max_width: int = 512,
        latent: int = 512,
    ) -> None:
        super().__init__()
        self.size, self.stride = size, size
        self.out_channels = out_channels
        self.generator = StyleSwin(size, width, max_width, latent, out_channels, mapping_layers=0)
        plan = self.generator.synthesis.widths
        sides = sorted(plan, reverse=True)
        self.first = nn.Conv2d(in_channels, plan[size], 1)
        self.down = nn.ModuleList(_step(plan[r], plan[r // 2]) for r in sides[:-1])
        self.up = nn.ModuleList(_step(plan[r // 2], plan[r]) for r in reversed(sides[1:-1]))
        self.to_latents = EqualizedLinear(16 * plan[4], self.generator.synthesis.latents * latent)
        self.modulate = Modulations.below(size, plan)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, size, size) to (batch, out_channels, size, size)."""
        features, skips = self.first(x), []
        for down in self.down:
            features = down(F.avg_pool2d(features, 2))
            skips.append(features)
        latents = self.to_latents(features.flatten(1)).unflatten(1, (self.generator.synthesis.latents, -1))
        asked = {4: skips.pop().permute(0, 2, 3, 1)}
        for up in self.up:
            skip = skips.pop()
            features = skip + up(F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False))
            asked[features.shape[-1]] = features.permute(0, 2, 3, 1)
        return self.generator.image(self.generator.synthesis(latents, lambda r, f: self.modulate(r, f, asked)))

    def load_prior(self, generator: StyleSwin, *, freeze: bool = False) -> None:
        """Start from a pretrained generator.

        Parameters
        ----------
        generator : StyleSwin
            Of the same sizes.
        freeze : bool
            Keep the generator as it is in training.

        Raises
        ------
        ValueError
            If the generator is another.
        """
        try:
            self.generator.synthesis.load_state_dict(generator.synthesis.state_dict())
            # With more channels than the generator has, several begin as the same image.
            to_image = {
                name: p.repeat_interleave(self.out_channels // len(p), 0)
                for name, p in generator.to_image.state_dict().items()
            }
            self.generator.to_image.load_state_dict(to_image)
        except RuntimeError as error:
            raise ValueError(
                f"the generator has other sizes than size {self.size}, widths {self.generator.synthesis.widths}, and "
                "the latents of the network"
            ) from error
        self.freeze_prior(freeze)

    def freeze_prior(self, freeze: bool) -> None:
        """Keep the generator as it is in training, or not."""
        self.generator.synthesis.requires_grad_(not freeze)
        self.generator.to_image.requires_grad_(not freeze)


def _step(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, outputs, 3, padding=1), nn.LeakyReLU(0.2), ResidualBlock(outputs))
