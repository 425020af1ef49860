"""NMSE, PSNR, SSIM: equal to the fastmri package, and by their formulas."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from kascade.errors import ConfigError, ShapeError
from kascade.report.metrics import nmse, psnr, ssim


def volume(seed: int, shape: tuple[int, int, int], smooth: float, dtype: str) -> NDArray[np.floating]:
    """Positive image-like numbers at the scale of fastMRI's volumes."""
    x = np.random.default_rng(seed).uniform(0, 1, shape)
    return (gaussian_filter(x, (0, smooth, smooth)) * 3e-4 if smooth else x).astype(dtype)


@pytest.fixture(scope="module")
def peer(fastmri_package: ModuleType) -> ModuleType:
    return importlib.import_module(f"{fastmri_package.__name__}.evaluate")


@pytest.mark.parity
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 3), st.integers(7, 40), st.integers(7, 40)),
    smooth=st.sampled_from([0.0, 1.0, 4.0]),
    noise=st.floats(1e-4, 1),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=60, deadline=None)
def test_equals_fastmri(
    peer: ModuleType, seed: int, shape: tuple[int, int, int], smooth: float, noise: float, dtype: str
) -> None:
    target = volume(seed, shape, smooth, dtype)
    error = np.random.default_rng(seed + 1).standard_normal(shape)
    reconstruction = (target + noise * target.std() * error).astype(dtype)
    for ours, theirs in ((nmse, peer.nmse), (psnr, peer.psnr), (ssim, peer.ssim)):
        assert ours(reconstruction, target) == pytest.approx(
            float(np.squeeze(theirs(target, reconstruction))), rel=1e-6
        )


@pytest.mark.parity
def test_equals_fastmri_on_a_large_volume(peer: ModuleType) -> None:
    target = volume(0, (6, 320, 320), 3.0, "float32")
    reconstruction = (target + 0.1 * volume(1, (6, 320, 320), 2.0, "float32")).astype(np.float32)
    for ours, theirs in ((nmse, peer.nmse), (psnr, peer.psnr), (ssim, peer.ssim)):
        assert ours(reconstruction, target) == pytest.approx(
            float(np.squeeze(theirs(target, reconstruction))), abs=1e-6
        )


def test_formulas_on_hand_computed_numbers() -> None:
    target = np.zeros((2, 8, 8))
    target[1, 4, 4] = 4.0
    reconstruction = target.copy()
    reconstruction[0, 0, 0] = 2.0
    assert nmse(reconstruction, target) == pytest.approx(4 / 16)
    assert psnr(reconstruction, target) == pytest.approx(10 * np.log10(16 / (4 / 128)))
    assert psnr(reconstruction, target, peak=8) == pytest.approx(10 * np.log10(64 / (4 / 128)))


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    a, b, peak = 0.5, 0.8, 0.8
    c1 = (0.01 * peak) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((2, 9, 9), a), np.full((2, 9, 9), b)) == pytest.approx(expected, rel=1e-9)


def test_the_peak_is_that_of_the_volume_not_of_the_slice() -> None:
    target = volume(3, (2, 16, 16), 1.0, "float64")
    target[1] *= 10
    reconstruction = target + 1e-5
    halves = [psnr(reconstruction[i], target[i], peak=float(target.max())) for i in (0, 1)]
    assert psnr(reconstruction, target) == pytest.approx(np.mean(halves))
    slices = [ssim(reconstruction[i], target[i], peak=float(target.max())) for i in (0, 1)]
    assert ssim(reconstruction, target) == pytest.approx(np.mean(slices))
    assert ssim(reconstruction[0], target[0]) != pytest.approx(slices[0], abs=1e-6)


def test_a_perfect_reconstruction() -> None:
    target = volume(5, (2, 12, 12), 1.0, "float32")
    assert nmse(target, target) == 0
    assert psnr(target, target) == np.inf
    assert ssim(target, target) == pytest.approx(1)


@pytest.mark.parametrize("metric", [nmse, psnr, ssim])
@pytest.mark.parametrize(
    ("reconstruction", "target", "error", "message"),
    [
        (np.ones((2, 8, 8)), np.ones((1, 8, 8)), ShapeError, r"\(2, 8, 8\), target is \(1, 8, 8\)"),
        (np.ones(8), np.ones(8), ShapeError, r"\(8,\)"),
        (np.ones((0, 8, 8)), np.ones((0, 8, 8)), ShapeError, r"\(0, 8, 8\)"),
        (np.ones((1, 8, 8)) * 1j, np.ones((1, 8, 8)), ConfigError, "reconstruction is complex"),
        (np.full((1, 8, 8), np.nan), np.ones((1, 8, 8)), ConfigError, "reconstruction holds NaN"),
        (np.ones((1, 8, 8)), np.full((1, 8, 8), np.inf), ConfigError, "target holds NaN or Inf"),
        (np.ones((1, 8, 8)), np.zeros((1, 8, 8)), ConfigError, "target is nowhere positive"),
    ],
)
def test_what_has_no_metric_is_refused(
    metric: object, reconstruction: NDArray[np.generic], target: NDArray[np.generic], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        metric(reconstruction, target)  # type: ignore[operator]


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    with pytest.raises(ShapeError, match=r"at least 7 x 7; these are \(6, 9\)"):
        ssim(np.ones((1, 6, 9)), np.ones((1, 6, 9)))


@pytest.mark.parametrize("peak", [0.0, -1.0, float("nan")])
def test_a_peak_must_be_positive(peak: float) -> None:
    with pytest.raises(ConfigError, match="peak"):
        psnr(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), peak=peak)
