"""The networks that CAG is compared with: sizes of the papers, shapes, learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kascade.nets.discriminators import PatchDiscriminator, VGGDiscriminator
from kascade.nets.hinet import HINet
from kascade.nets.pix2pix import Pix2Pix
from kascade.nets.resvit import ResViT
from kascade.nets.srgan import SRResNet

SMALL: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (HINet, {"width": 8, "levels": 3}),
    (Pix2Pix, {"width": 8, "levels": 4}),
    (ResViT, {"width": 4, "blocks": 3, "tokens": 16, "layers": 2, "heads": 2, "grid": 4}),
    (SRResNet, {"width": 8, "blocks": 2}),
]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("network", "options"), SMALL)
def test_networks_keep_the_shape_of_images_and_learn(network: type[nn.Module], options: dict[str, Any]) -> None:
    net = network(3, 3, **options)
    stride = net.stride
    x = torch.randn(2, 3, 3 * max(stride, 8), 2 * max(stride, 8))
    assert net(x).shape == x.shape
    target = x.roll(1, -1)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = (net(x) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def millions(net: nn.Module) -> float:
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_sizes_of_the_papers() -> None:
    with torch.device("meta"):
        assert millions(HINet()) == pytest.approx(88.67, abs=0.01)
        assert millions(Pix2Pix(levels=8)) == pytest.approx(54.4, abs=0.1)
        assert millions(PatchDiscriminator(6, 64)) == pytest.approx(2.77, abs=0.01)


def test_both_stages_of_hinet_give_images_and_the_second_is_the_result() -> None:
    net = HINet(3, 3, width=8, levels=3)
    x = torch.randn(1, 3, 16, 16)
    first, second = net.stages(x)
    assert first.shape == second.shape == x.shape and not torch.allclose(first, second, atol=1e-3)
    torch.testing.assert_close(net(x), second)
    with pytest.raises(ValueError, match="must be equal"):
        HINet(3, 1)


def test_half_of_hinets_channels_are_normalized() -> None:
    block = HINet(3, 3, width=8, levels=2).one.encode[0]
    scaled = block.norm(5 + 3 * torch.randn(1, 4, 32, 32))
    torch.testing.assert_close(scaled.mean((2, 3)), torch.zeros(1, 4), atol=1e-5, rtol=0)
    assert block.norm.num_features == 4


def test_the_transformer_of_resvit_is_shared() -> None:
    net = ResViT(3, 3, width=4, blocks=4, tokens=16, layers=1, heads=2, grid=4)
    assert net.with_tokens == [0, 2] and len(net.tokens) == 2
    calls = []
    net.transformer.register_forward_hook(lambda *_: calls.append(1))
    net(torch.randn(1, 3, 32, 48))
    assert len(calls) == 2


def test_a_patch_is_seventy_pixels() -> None:
    net = PatchDiscriminator(1, width=4).eval()
    x = torch.zeros(1, 1, 256, 256, requires_grad=True)
    for module in net.modules():
        if isinstance(module, nn.InstanceNorm2d):  # it would see the whole image
            module.forward = lambda features: features  # type: ignore[method-assign,assignment]
    out = net(x)
    out[0, 0, 15, 15].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero()[:, 0]
    assert int(rows.max() - rows.min()) + 1 == 70


def test_srgans_discriminator_takes_any_size() -> None:
    net = VGGDiscriminator(3, width=4).eval()
    assert net(torch.randn(2, 3, 32, 48)).shape == (2, 1)
    assert net(torch.randn(1, 3, 64, 40)).shape == (1, 1)
