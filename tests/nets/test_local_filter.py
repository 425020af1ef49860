"""Filters that a network predicts, one for each pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.cag import CAG
from kascade.nets.local_filter import LocalFilter
from kascade.nets.restormer import Restormer

SMALL = {"width": 8, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 4), "refinement": 1}


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def constant_filter(kernel: Tensor, scale: int) -> LocalFilter:
    """The same kernel at each pixel, whatever the features."""
    network = LocalFilter(4, len(kernel), scale)
    with torch.no_grad():
        network.predict.bias.copy_(kernel.flatten().repeat_interleave(scale**2))  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize("scale", [1, 2])
def test_an_equal_kernel_everywhere_is_a_convolution(scale: int) -> None:
    kernel, x = noise(5, 5), noise(2, 3, 12, 8)
    out = constant_filter(kernel, scale)(x, noise(2, 4, 12 // scale, 8 // scale))
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    filtered = F.conv2d(padded, kernel.expand(3, 1, 5, 5), groups=3)
    torch.testing.assert_close(out, x + filtered - kernel.sum() * x)


def test_kernels_differ_from_pixel_to_pixel() -> None:
    network = LocalFilter(1, 3)
    with torch.no_grad():
        network.predict.weight[3].fill_(1.0)  # the left neighbor, as much as the feature says
    x, take = noise(1, 2, 6, 8), torch.zeros(1, 1, 6, 8)
    take[..., 2, 5] = 1
    out = network(x, take)
    assert torch.allclose(out[..., 2, 5], x[..., 2, 4])
    assert torch.equal(out[(1 - take).expand_as(x) > 0], x[(1 - take).expand_as(x) > 0])


def test_even_regions_stay_and_the_untrained_filter_is_the_identity() -> None:
    even = torch.full((1, 1, 8, 8), 0.7)
    torch.testing.assert_close(constant_filter(noise(3, 3), 1)(even, noise(1, 4, 8, 8)), even)
    x = noise(1, 2, 8, 8)
    assert torch.equal(LocalFilter(4, 3, 2)(x, noise(1, 4, 4, 4)), x)


def test_gradients_to_image_and_features() -> None:
    torch.manual_seed(0)
    network = LocalFilter(2, 3, 2).double()
    nn.init.normal_(network.predict.weight)
    x, features = (noise(*shape).double().requires_grad_() for shape in ((1, 2, 4, 4), (1, 2, 2, 2)))
    assert torch.autograd.gradcheck(network, (x, features))


def test_a_restormer_with_kernels_starts_as_the_identity_and_learns_through_them() -> None:
    torch.manual_seed(0)
    for network in (Restormer(3, 3, kernel=5, bands=True, **SMALL), CAG(3, 3, kernel=3, **SMALL)):  # type: ignore[arg-type]
        x = noise(1, 3, 32, 32)
        assert torch.equal(network(x), x)
        (network(x) - 2 * x).square().sum().backward()
        predict = [m.predict for m in network.modules() if isinstance(m, LocalFilter)]
        assert len(predict) == 1 and bool(predict[0].weight.grad.abs().sum() > 0)


@pytest.mark.parametrize("size", [1, 4, -3])
def test_kernels_without_a_middle_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="odd size"):
        LocalFilter(4, size)


def test_kernels_need_equal_channels() -> None:
    with pytest.raises(ValueError, match="as many channels out as in"):
        Restormer(3, 2, kernel=3)
