"""ResUNet: scale-equivariant, bounded, the identity before training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from kascade.nets.resunet import ResUNet, fine_contrast, smooth_phase


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 2, 24, 16, generator=torch.Generator().manual_seed(0))


def trained_looking(**options: float) -> ResUNet:
    """A network whose last layer is no longer zero."""
    torch.manual_seed(1)
    network = ResUNet(channels=4, **options)  # type: ignore[arg-type]
    nn.init.normal_(network.tail.weight, std=1.0)
    return network


def test_untrained_is_the_identity(image: Tensor) -> None:
    assert torch.equal(ResUNet(channels=4)(image), image)


@given(st.floats(1e-6, 1e6))
def test_scaling_the_input_scales_the_output(factor: float) -> None:
    x = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    network = trained_looking().double()
    torch.testing.assert_close(network(factor * x), factor * network(x), rtol=1e-9, atol=1e-9 * factor)


def test_the_correction_is_bounded_by_the_finest_contrast(image: Tensor) -> None:
    _, unit = fine_contrast(image)
    change = (trained_looking(bound=0.5)(image) - image).abs().detach()
    assert bool((change <= 0.5 * unit * (1 + 1e-5)).all())
    assert float((change / unit).max()) > 0.4


def test_a_zero_image_stays_finite_and_gets_gradients(image: Tensor) -> None:
    x = torch.zeros_like(image).requires_grad_()
    out = trained_looking()(x)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_fine_contrast_measures_white_noise_and_ignores_ramps() -> None:
    """Of unit noise a difference of four pixels, halved, has standard deviation 1: its median magnitude is 0.67."""
    noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(3))
    ramp = torch.linspace(0, 50, 256)[:, None] + torch.linspace(0, 20, 256)
    local, unit = fine_contrast(noise + ramp)
    assert float(unit) == pytest.approx(0.6745 + 0.05 * 0.798, rel=0.02)
    torch.testing.assert_close(local[0, 0, 20:-20, 20:-20].mean(), torch.tensor(0.798), rtol=0.02, atol=0)


def test_sizes_other_than_multiples_of_the_stride_are_the_adapters_work() -> None:
    assert ResUNet(channels=2, levels=3).stride == 8


def test_demodulated_networks_turn_with_a_constant_phase(image: Tensor) -> None:
    """f(exp(i phi) x) = exp(i phi) f(x): what the phase of the scanner is does not matter."""
    network = trained_looking(demodulate=True).double()
    x = torch.complex(*image.double().unbind(1))

    def apply(z: Tensor) -> Tensor:
        return torch.complex(*network(torch.stack((z.real, z.imag), dim=1)).unbind(1))

    turn = torch.polar(torch.ones(1), torch.tensor(2.0)).to(torch.complex128)
    torch.testing.assert_close(apply(turn * x), turn * apply(x))
    assert float((apply(x) - x).detach().abs().max()) > 0.01


def test_smooth_phase_follows_a_ramp_and_is_one_where_nothing_is() -> None:
    ramp = 0.3 * torch.arange(32.0).expand(1, 32, 32)
    factor = smooth_phase(torch.stack((ramp.cos(), ramp.sin()), dim=1))
    torch.testing.assert_close(factor[0, 0, 8:-8, 8:-8], ramp.cos()[0, 8:-8, 8:-8], atol=1e-4, rtol=0)
    assert torch.equal(smooth_phase(torch.zeros(1, 2, 4, 4))[0, :, 0, 0], torch.tensor([1.0, 0.0]))


def test_demodulation_needs_two_channels() -> None:
    with pytest.raises(ValueError, match="real and an imaginary"):
        ResUNet(1, 1, demodulate=True)


@pytest.mark.parametrize("demodulate", [False, True])
def test_gradients_to_the_image_are_those_of_finite_differences(demodulate: bool) -> None:
    """Units and phase depend on the image, too; without their share lambdas would learn from wrong gradients."""
    network = trained_looking(demodulate=demodulate).double()
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (x,), atol=1e-6, rtol=1e-4)
