"""Networks that nobody here wrote, plugged into a cascade in one line: MONAI's."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

import kascade as ka
from tests.battery import random_complex

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other packages, when MONAI looks for them
    from monai.networks.nets import BasicUNet, SegResNet, UNet

WIDTH = {"complex": 2, "magnitude": 1, "slices": 3}


def basic_unet(channels: int) -> nn.Module:
    return BasicUNet(2, in_channels=channels, out_channels=channels, features=(4, 4, 4, 4, 4, 4))


def seg_res_net(channels: int) -> nn.Module:
    return SegResNet(2, init_filters=8, in_channels=channels, out_channels=channels, blocks_down=(1, 1), blocks_up=(1,))


def residual_unet(channels: int) -> nn.Module:
    return UNet(2, channels, channels, channels=(4, 8, 8), strides=(2, 2), num_res_units=1)


@pytest.mark.parametrize("channels", WIDTH)
@pytest.mark.parametrize("build", [basic_unet, seg_res_net, residual_unet])
def test_foreign_networks_reconstruct_and_learn(build: Callable[[int], nn.Module], channels: str) -> None:
    """Odd sizes, batches, any adapter: gradients reach every weight and every lambda, and no amplitude matters."""
    torch.manual_seed(0)
    model = ka.UnrolledSENSE(ka.as_prior(build(WIDTH[channels]), channels=channels), iterations=2)
    for batch, rows, columns, coils in (((3,), 37, 43, 2), ((2,), 20, 51, 5)):
        maps = random_complex(*batch, coils, rows, columns, seed=1, dtype=torch.complex64)
        maps /= torch.linalg.vector_norm(maps, dim=-3, keepdim=True)
        E = ka.Encoding(maps, (torch.arange(columns) % 2 == 0).float())
        y = E(random_complex(*batch, rows, columns, seed=2, dtype=torch.complex64))
        out = model(E, y, trace=True)
        assert out.image.shape == (*batch, rows, columns) and bool(out.image.isfinite().all())
        assert len(out.trace.x) == len(out.trace.z) == 2
        torch.testing.assert_close(model(E, 1e-6 * y).image * 1e6, out.image, rtol=1e-2, atol=1e-2)
    out.image.abs().square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
    assert model.schedule.log_lam.grad.abs().min() > 0
