"""Networks: sizes of the papers, shapes, and the parts against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kascade.nets.restormer import ChannelNorm, Restormer, TransposedAttention
from kascade.nets.unet import UNet


@pytest.fixture(autouse=True)
def seed() -> None:
    """Networks start from the same weights in every run."""
    torch.manual_seed(0)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_restormer_has_the_papers_size() -> None:
    """26.1 M parameters for color images (Zamir et al. 2022)."""
    with torch.device("meta"):
        assert abs(parameters(Restormer(3, 3)) / 26.1e6 - 1) < 0.01


def test_restormer_maps_to_its_own_shape() -> None:
    net = Restormer(3, 1, width=8, blocks=(1, 2, 1, 1), refinement=1)
    assert net(torch.randn(2, 3, 16, 24)).shape == (2, 1, 16, 24)


@pytest.mark.parametrize("bias", [False, True])
def test_channel_norm_formula(bias: bool) -> None:
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64) + 1
    norm = ChannelNorm(5, bias).double()
    centered = x - x.mean(1, keepdim=True)
    deviation = (centered.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(x), (centered if bias else x) / deviation)


def test_attention_runs_over_channels_and_is_kept_on_demand() -> None:
    attention = TransposedAttention(8, heads=2)
    attention(torch.randn(3, 8, 6, 5))
    assert attention.attention is None
    attention.keep_attention = True
    attention(torch.randn(3, 8, 6, 5))
    assert attention.attention is not None and attention.attention.shape == (3, 2, 4, 4)
    torch.testing.assert_close(attention.attention.sum(-1), torch.ones(3, 2, 4))


def test_unet_starts_as_the_identity_and_learns() -> None:
    net = UNet(2, 2, channels=4, levels=2)
    x = torch.randn(1, 2, 16, 12)
    assert torch.equal(net(x).detach(), x)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    target = x.roll(1, -1)
    losses = []
    for _ in range(100):
        loss = (net(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_unet_has_fastmris_size() -> None:
    """The U-Net inside E2E-VarNet's cascades: 18 channels, 4 poolings, about 2.45 M parameters."""
    assert abs(parameters(UNet(2, 2, 18, 4)) / 2.45e6 - 1) < 0.01
