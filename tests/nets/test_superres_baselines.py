from __future__ import annotations

import pytest
import torch

from kascade.nets.superres_baselines import EDSR, MINet, StageIntegration, SwinIR


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_of_the_papers() -> None:
    with torch.device("meta"):
        small, large = EDSR(3, 3), EDSR(3, 3, width=256, blocks=32, scale=0.1)
        light, classical = SwinIR(3, 3), SwinIR(3, 3, width=180, groups=6, depth=6)
    assert parameters(small) == 1_222_147  # 1.37 M with its upsampling by 2, which has 147,712
    assert parameters(large) == 38_369_283  # the paper: 43 M with an upsampling by 4, which has 4.7 M
    assert 0.8e6 < parameters(light) < 0.92e6  # the paper: 878 k with its upsampling
    assert 11.2e6 < parameters(classical) < 11.9e6  # the paper: 11.8 M


@pytest.mark.parametrize(
    "network",
    [
        EDSR(width=4, blocks=2),
        SwinIR(size=16, width=8, groups=1, depth=2),
        MINet(width=4, stages=2, blocks=1, reduction=2),
    ],
)
def test_output_is_input_and_a_residual(network: torch.nn.Module) -> None:
    x = torch.randn(2, 1, 16, 16)
    y = network(x)
    y.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    torch.nn.init.zeros_(network.last.weight)  # type: ignore[arg-type,union-attr]
    torch.nn.init.zeros_(network.last.bias)  # type: ignore[arg-type,union-attr]
    assert torch.equal(network(x), x)


def test_stages_attend_to_those_like_them() -> None:
    integrate = StageIntegration()
    stages = torch.randn(1, 3, 4, 5, 5)
    torch.testing.assert_close(integrate(stages), stages)  # at first
    torch.nn.init.ones_(integrate.share)
    stages[:, 1] = 2 * stages[:, 0]  # alike but for the strength
    flat = stages[0].flatten(1)
    similarity = torch.tensor([[torch.cosine_similarity(a, b, 0) for b in flat] for a in flat])
    expected = flat + similarity.softmax(-1) @ flat
    torch.testing.assert_close(integrate(stages)[0].flatten(1), expected)
    assert float(similarity[0, 1]) == pytest.approx(1)
