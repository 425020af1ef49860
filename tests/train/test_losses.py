from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from kascade.train.losses import image_loss, l1_loss, log_loss, mse_loss, ssim_loss
from kascade.train.recipe import LossConfig

LOSSES = (l1_loss, log_loss, mse_loss, ssim_loss)


def pair(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image, target = torch.randn(2, batch, 20, 24, generator=generator, dtype=torch.complex64)
    return image, target


@pytest.mark.parametrize("loss", LOSSES)
@given(exponent=st.integers(-6, 6))
def test_no_amplitude_matters(loss: object, exponent: int) -> None:
    image, target = pair()
    scale = 10.0**exponent
    torch.testing.assert_close(loss(scale * image, scale * target), loss(image, target), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_image_costs_nothing(loss: object) -> None:
    image, target = pair()
    floor = math.log(1e-4) if loss is log_loss else 0.0
    torch.testing.assert_close(loss(target, target), torch.full((2,), floor), atol=1e-5, rtol=0)
    assert (loss(image, target) > floor + 0.1).all()


def test_formulas() -> None:
    image, target = pair()
    scale = target.abs().mean((1, 2))
    torch.testing.assert_close(l1_loss(image, target), (image - target).abs().mean((1, 2)) / scale)
    torch.testing.assert_close(mse_loss(image, target), (image - target).abs().square().mean((1, 2)) / scale**2)
    error, norm = (torch.linalg.vector_norm(x, dim=(1, 2)) for x in (image - target, target))
    torch.testing.assert_close(log_loss(image, target), (error / norm).log())


def test_ssim_is_that_of_skimage() -> None:
    image, target = (torch.nn.functional.pad(x.abs(), (12, 12, 12, 12)) for x in pair(1))  # edges are treated otherwise
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    peak = float(target.max())
    _, similarity = structural_similarity(image[0].numpy(), target[0].numpy(), data_range=peak, **options)
    found = ssim_loss(image.to(torch.complex64), target.to(torch.complex64))
    assert float(1 - found) == pytest.approx(float(similarity.mean()), abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_target_gives_no_nan(loss: object) -> None:
    image = torch.zeros(1, 20, 24, dtype=torch.complex64, requires_grad=True)
    value = loss(image, torch.zeros(1, 20, 24, dtype=torch.complex64))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(torch.view_as_real(image.grad)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_example_costs_nothing(loss: object) -> None:
    """Reconstructed as what it is; its share of a mean is not that of an example without any error."""
    empty = torch.zeros(1, 20, 24, dtype=torch.complex64)
    assert float(loss(empty, empty)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences(loss: object) -> None:
    image, target = (x.to(torch.complex128)[:1] for x in pair(1))
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(image, target).sum(), image)
    direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.complex128)
    step = 1e-6
    with torch.no_grad():
        slope = (loss(image + step * direction, target) - loss(image - step * direction, target)).sum() / (2 * step)
    assert float((gradient.conj() * direction).real.sum()) == pytest.approx(float(slope), rel=1e-5)


def test_of_magnitudes_phase_does_not_matter() -> None:
    image, target = pair()
    weights = LossConfig(l1=1.0, log=0.5, mse=0.5, ssim=0.5, magnitude=True)
    torch.testing.assert_close(image_loss(1j * image, target, weights), image_loss(image, target, weights))
    complex_weights = weights.model_copy(update={"magnitude": False})
    turned = image_loss(1j * target, target, complex_weights)
    assert (turned - image_loss(1j * target, target, weights)).min() > 0.1


def test_mixtures_are_weighted_sums_for_each_item() -> None:
    image, target = pair(3)
    found = image_loss(image, target, LossConfig(l1=0.5, mse=2.0, ssim=0.25))
    expected = 0.5 * l1_loss(image, target) + 2 * mse_loss(image, target) + 0.25 * ssim_loss(image, target)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found[1:2], image_loss(image[1:2], target[1:2], LossConfig(l1=0.5, mse=2.0, ssim=0.25)))
