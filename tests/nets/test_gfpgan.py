"""GFP-GAN on the generator of TransMRSR."""

from __future__ import annotations

import pytest
import torch

from kascade.nets.gfpgan import GFPGAN
from kascade.nets.styleswin import StyleSwin

SIZES = {"size": 16, "width": 8, "max_width": 16, "latent": 8}


def image() -> torch.Tensor:
    return torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_it_draws_with_the_generator_whatever_the_input_adds() -> None:
    """Before training nothing is scaled or shifted: the image is what the generator makes of the latents."""
    torch.manual_seed(0)
    generator, network = StyleSwin(**SIZES), GFPGAN(1, 1, **SIZES)
    network.load_prior(generator)
    latents: list[torch.Tensor] = []
    network.to_latents.register_forward_hook(lambda module, args, out: latents.append(out))
    drawn = network(image())
    features = generator.synthesis(latents[0].unflatten(1, (generator.synthesis.latents, -1)))
    torch.testing.assert_close(drawn, generator.image(features))


def test_all_of_it_learns_but_a_frozen_generator() -> None:
    torch.manual_seed(0)
    network = GFPGAN(1, 1, **SIZES)
    for branch in network.modulate.values():
        for convolutions in (branch.scale, branch.shift):
            torch.nn.init.normal_(convolutions[1].weight)
    network.load_prior(StyleSwin(**SIZES), freeze=True)
    network(image()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == name.startswith("generator."), name


def test_another_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="other sizes than size 16"):
        GFPGAN(1, 1, **SIZES).load_prior(StyleSwin(**{**SIZES, "latent": 4}))


def test_each_of_several_channels_begins_as_the_image_of_the_generator() -> None:
    torch.manual_seed(0)
    generator, network = StyleSwin(**SIZES), GFPGAN(3, 4, **SIZES)
    network.load_prior(generator)
    drawn = network(image().expand(-1, 3, -1, -1))
    assert drawn.shape == (2, 4, 16, 16)
    torch.testing.assert_close(drawn, drawn[:, :1].expand(-1, 4, -1, -1))
