"""Calibration data: where they are, what they span, and the matrix they define."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError
from kascade.physics.calibration import calibration_region, patch_correlation, patch_row_space
from tests.battery import random_complex


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(20, 41),
    columns=st.integers(20, 41),
    lines=st.integers(5, 16),
    accel=st.integers(2, 6),
)
def test_region_is_the_fully_sampled_center(rows: int, columns: int, lines: int, accel: int) -> None:
    """Of R columns and central lines: all of the lines, nothing unsampled, rows up to twice the columns asked."""
    start = columns // 2 - lines // 2
    mask = torch.zeros(columns)
    mask[::accel] = 1
    mask[start : start + lines] = 1
    region = calibration_region(random_complex(2, rows, columns) * mask, 16)
    assert region.shape[0] == 2 and region.shape[1] == min(32, rows)
    assert lines <= region.shape[2] <= 16
    assert bool((region != 0).all())


def test_region_of_a_2d_mask_is_the_largest_rectangle() -> None:
    kspace = random_complex(1, 40, 40)
    mask = torch.zeros(40, 40)
    mask[::3, ::3] = 1
    mask[14:26, 11:29] = 1
    torch.testing.assert_close(calibration_region(kspace * mask), (kspace * mask)[:, 14:26, 11:29])


def test_a_few_samples_that_measured_exactly_zero_do_not_count_as_missing() -> None:
    """Integer raw data hold exact zeros."""
    kspace = random_complex(1, 64, 64)
    kspace[0, 30, 31] = 0
    assert calibration_region(kspace, 24).shape == (1, 48, 24)
    assert calibration_region(kspace, (24, 24)).shape == (1, 24, 24)


def test_row_space_spans_the_patches_and_leaves_the_noise() -> None:
    """Coil images of one source: with smooth maps the patches fill a small part of the space, and the rest is noise."""
    image = random_complex(24, 24, seed=3)
    maps = torch.stack([torch.ones(24, 24), torch.linspace(-1, 1, 24).expand(24, 24)]).to(image.dtype)
    region = torch.fft.fftshift(torch.fft.fft2(maps * image, norm="ortho"), dim=(-2, -1))
    noise = 1e-2
    basis, variance = patch_row_space(region + noise * random_complex(2, 24, 24, seed=4), 3, 0.05)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.mH, torch.eye(len(flat), dtype=flat.dtype), rtol=0, atol=1e-9)
    assert 0 < len(flat) < 18
    assert variance > 0


@pytest.mark.parametrize("size", [(20, 20), (7, 7)])
def test_tall_and_wide_calibration_matrices(size: tuple[int, int]) -> None:
    """Through A^H A or A A^H, the row space is that of the singular value decomposition."""
    region, kernel = random_complex(3, *size, seed=1), 4
    basis = patch_row_space(region, kernel, 0.6)[0].flatten(1)
    matrix = region.unfold(1, kernel, 1).unfold(2, kernel, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3 * kernel**2)
    _, values, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = right[values > 0.6 * values[0]]
    assert len(kept) < min(matrix.shape)
    torch.testing.assert_close(basis.mT @ basis.conj(), kept.mH @ kept, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kernel", [3, 4])
def test_correlation_holds_the_matrices_of_zero_padded_kernels(kernel: int) -> None:
    """At every pixel: sum of g g^H over the kernels' images, whose conjugates the row space holds."""
    basis = random_complex(2, 3, kernel, kernel)
    lags, n = 2 * kernel - 1, 16
    positions = (torch.arange(n, dtype=torch.float64) - n // 2) / n
    lag = torch.arange(1 - kernel, kernel, dtype=torch.float64)
    waves = torch.exp(2j * math.pi * torch.outer(positions, lag))
    matrices = torch.einsum("xl,cdlm,ym->cdxy", waves, patch_correlation(basis), waves)
    assert patch_correlation(basis).shape == (3, 3, lags, lags)
    place = torch.arange(kernel, dtype=torch.float64)
    kernel_waves = torch.exp(-2j * math.pi * torch.outer(positions, place))
    images = torch.einsum("xi,ncij,yj->ncxy", kernel_waves, basis, kernel_waves)
    expected = torch.einsum("ncxy,ndxy->cdxy", images.conj(), images) / kernel**2
    torch.testing.assert_close(matrices, expected, rtol=1e-9, atol=1e-9)


def test_missing_lines_are_an_error() -> None:
    kspace = random_complex(2, 32, 32) * (torch.arange(32) % 2 == 0)
    with pytest.raises(ConfigError, match="no autocalibration lines"):
        calibration_region(kspace)
    with pytest.raises(ConfigError, match="not fully sampled"):
        calibration_region(kspace, (16, 16))
    with pytest.raises(ConfigError, match="smaller than the kernel"):
        calibration_region(kspace, 3)
