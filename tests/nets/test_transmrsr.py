"""TransMRSR: its blocks, its ablations, its prior, and its life within a cascade."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import kascade as ka
from kascade.nets.bands import OnBands
from kascade.nets.styleswin import StyleSwin
from kascade.nets.transmrsr import ScaleAndShift, TransMRSR

SMALL: dict[str, Any] = {"size": 16, "width": 8, "max_width": 16, "latent": 8}


def tiny(**options: Any) -> TransMRSR:
    torch.manual_seed(0)
    return TransMRSR(**SMALL, **options)


def generator(centers: bool = True) -> StyleSwin:
    torch.manual_seed(1)
    network = StyleSwin(**SMALL, mapping_layers=2)
    if centers:
        network.truncation.set_centers(3 * torch.randn(8, 8))
    return network


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_each_block_at_full_size() -> None:
    with torch.device("meta"):
        network, prior = TransMRSR(), StyleSwin()
    counts = {name: parameters(block) for name, block in network.named_children()}
    convolution = 64 * 64 * 9 + 64
    assert counts["shallow"] == (64 * 9 + 64) + 4 * convolution
    assert counts["restore"] == 5 * convolution
    assert counts["output"] == 64 + 1
    assert counts["to_latents"] == (16 * 512 + 1) * 14 * 512
    full = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128}
    assert counts["modulate"] == sum(2 * ((9 * c * c + c) + (9 * c + 1) * (c // 2)) for c in full.values())
    assert counts["decoder"] == parameters(prior.synthesis)
    assert counts == {
        "shallow": 148_352,
        "decoder": 38_520_614,
        "encoder": 32_723_008,
        "latent_norm": 1_024,
        "to_latents": 58_727_424,
        "truncation": 0,
        "modulate": 30_530_688,
        "restore": 184_640,
        "output": 65,
    }
    assert parameters(prior.mapping) == 8 * (512 * 512 + 512)
    heads = [layer.blocks[0].regular.heads + layer.blocks[0].shifted.heads for layer in network.decoder.layers]
    assert heads == [16, 16, 16, 16, 8, 4, 4]


@pytest.mark.parametrize("size", [16, 32, 64])
def test_image_in_image_out_and_every_parameter_learns(size: int) -> None:
    network = TransMRSR(size=size, width=8, max_width=16, latent=8)
    x = torch.randn(2, 1, size, size)
    y = network(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not missing


def test_modulation_begins_as_nothing_and_leaves_half_of_the_channels_alone() -> None:
    block = ScaleAndShift(8)
    features, encoded = torch.randn(2, 4, 4, 8), torch.randn(2, 4, 4, 8)
    torch.testing.assert_close(block(features, encoded), features)
    for _, last in (block.scale, block.shift):
        torch.nn.init.normal_(last.weight)
    out = block(features, encoded)
    assert torch.equal(out[..., 4:], features[..., 4:]) and not torch.allclose(out[..., :4], features[..., :4])


def test_the_prior_is_what_the_decoder_begins_as() -> None:
    network, prior = tiny(), generator()
    before = network.decoder.constant.clone()
    network.load_prior(prior)
    assert not torch.equal(before, network.decoder.constant)
    assert all(
        torch.equal(a, b) for a, b in zip(network.decoder.parameters(), prior.synthesis.parameters(), strict=True)
    )
    latents = torch.randn(2, network.decoder.latents, 8)
    torch.testing.assert_close(network.decoder(latents)[-1], prior.synthesis(latents)[-1])
    assert network.truncation is not None and torch.equal(network.truncation.centers, prior.truncation.centers)
    assert all(p.requires_grad for p in network.decoder.parameters())
    network.load_prior(prior, freeze=True)
    assert not any(p.requires_grad for p in network.decoder.parameters())
    assert all(p.requires_grad for p in network.encoder.parameters())


def test_a_prior_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="other sizes than size 16"):
        tiny(truncation=False).load_prior(StyleSwin(size=32, width=8, max_width=16, latent=8))
    with pytest.raises(ValueError, match="kascade latents"):
        tiny().load_prior(generator(centers=False))
    tiny(truncation=False).load_prior(generator(centers=False))


def test_each_ablation_takes_its_part_away() -> None:
    x = torch.randn(1, 1, 16, 16)
    whole = tiny()
    whole.load_prior(generator())
    for block in whole.modulate.values():
        torch.nn.init.normal_(block.shift[1].weight)
    states = {name: value for name, value in whole.state_dict().items()}
    for option, part in (("truncation", "truncation"), ("encoder_features", "modulate"), ("skip", "share")):
        ablated = tiny(**{option: False})
        kept = {name: value for name, value in states.items() if not name.startswith(part)}
        ablated.load_state_dict(kept)
        assert not torch.allclose(ablated(x), whole(x), atol=1e-6), option


def test_names_and_channels_of_the_registry() -> None:
    assert "transmrsr" in ka.priors()
    from kascade.unroll import make_prior

    prior = make_prior("transmrsr", "magnitude", options=SMALL)
    assert prior.size == 16 and prior.channels == "magnitude"
    x = torch.randn(3, 21, 30, dtype=torch.complex64)
    out = prior(x)
    torch.testing.assert_close(torch.sgn(out * x.conj()).imag, torch.zeros(3, 21, 30), atol=1e-4, rtol=0)
    assert make_prior("transmrsr", options=SMALL)(x).shape == x.shape


def test_a_cascade_runs_and_trains_with_it() -> None:
    torch.manual_seed(0)
    maps = torch.ones(1, 16, 16, dtype=torch.complex64)
    mask = ka.uniform_mask(16, accel=2, acs=6)
    E = ka.Encoding(maps, mask)
    image = torch.randn(16, 16, dtype=torch.complex64)
    model = ka.UnrolledSENSE(ka.as_prior(tiny(), channels="magnitude"), iterations=2)
    out = model(E, E(image)).image
    assert out.shape == image.shape
    (out - image).abs().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_cascade_restores_thick_slices_with_it() -> None:
    from kascade.physics import ThickSlices

    torch.manual_seed(0)
    E = ThickSlices.of((20, 18), 4, axis=-2)
    image = torch.rand(20, 18) + 0j
    model = ka.UnrolledSENSE(ka.as_prior(tiny(), channels="magnitude"), iterations=2, lam="learned")
    out = model(E, E(image)).image
    assert out.shape == image.shape
    (out - image).abs().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_on_bands_it_is_a_prior_for_images_of_any_size() -> None:
    torch.manual_seed(0)
    network = OnBands(TransMRSR(OnBands.inputs, OnBands.outputs, **SMALL))
    prior = ka.as_prior(network, channels="magnitude")
    assert prior.size == 32
    x = torch.randn(2, 40, 50, dtype=torch.complex64)
    out = prior(x)
    assert out.shape == x.shape
    out.abs().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
