"""The head score, by its definition on data whose noise floor, head and error are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from kascade.errors import ConfigError, ShapeError
from kascade.report.head_score import floor_corrected, rss_image, score_against_kspace, score_against_rss

ROWS, COLUMNS = 60, 48
Y, X = np.mgrid[:ROWS, :COLUMNS]
DISC = (Y - 30) ** 2 + (X - 24) ** 2 <= 14**2


def head(floor: float = 0.1) -> NDArray[np.floating]:
    """RSS of a disc with a hole of no signal, on a constant noise floor."""
    signal = DISC * (1 + 0.5 * np.sin(Y / 3) * np.cos(X / 4)) * ((Y - 30) ** 2 + (X - 24) ** 2 > 3**2)
    return np.sqrt(signal**2 + floor**2)


def test_floor_is_taken_out_and_the_head_is_filled() -> None:
    target, inside = floor_corrected(head())
    assert np.array_equal(inside, DISC)
    assert target[~DISC] == pytest.approx(0, abs=1e-6)
    assert target[DISC] == pytest.approx(np.sqrt(np.maximum(head()[DISC] ** 2 - 0.1**2, 0)), abs=1e-6)


def test_the_head_is_the_largest_bright_region() -> None:
    rss = head()
    rss[4:10, 10:16] = 3.0
    rss[52:53, 30:40] = 3.0
    assert np.array_equal(floor_corrected(rss)[1], DISC)


def test_floor_is_the_mean_power_of_tenths_in_four_corners() -> None:
    rss = head()
    corners = np.zeros_like(rss, dtype=bool)
    for rows in (slice(0, 6), slice(54, 60)):
        for columns in (slice(0, 4), slice(44, 48)):
            corners[rows, columns] = True
    rss[corners] = np.random.default_rng(0).uniform(0.05, 0.2, corners.sum())
    target, _ = floor_corrected(rss)
    assert target[30, 30] == pytest.approx(np.sqrt(rss[30, 30] ** 2 - np.mean(rss[corners] ** 2)))


def test_scores_by_their_formulas() -> None:
    rss = head()
    target, inside = floor_corrected(rss)
    image = 7.0 * abs(target + 0.03 * np.cos(Y + 2 * X))
    score = score_against_rss(image, rss)

    factor = (image * target)[inside].sum() / (image**2)[inside].sum()
    mse = np.mean((factor * image - target)[inside] ** 2)
    peak = target[inside].max()
    assert score["psnr"] == pytest.approx(10 * np.log10(peak**2 / mse))
    assert score["nrmse"] == pytest.approx(np.sqrt(mse / np.mean(target[inside] ** 2)))
    similarity = structural_similarity(factor * image, target, data_range=peak, full=True)[1]
    assert score["ssim"] == pytest.approx(similarity[inside].mean())
    whole = image * (image * rss).sum() / (image**2).sum()
    assert score["rss_psnr"] == pytest.approx(10 * np.log10(rss.max() ** 2 / np.mean((whole - rss) ** 2)))
    assert score["rss_ssim"] == pytest.approx(structural_similarity(whole, rss, data_range=rss.max()))


@given(scale=st.floats(1e-6, 1e6), phase=st.floats(0, 6))
@settings(max_examples=10, deadline=None)
def test_scale_and_phase_do_not_matter(scale: float, phase: float) -> None:
    image = floor_corrected(head())[0] + 0.02 * np.cos(X)
    assert score_against_rss(image * scale * np.exp(1j * phase), head()) == pytest.approx(
        score_against_rss(image, head()), rel=1e-6
    )


def test_errors_outside_the_head_count_only_in_the_frame() -> None:
    image = floor_corrected(head())[0] + 0.02 * np.cos(X)
    disturbed = image + 2.0 * ((X < 4) | (X > 44))
    before, after = score_against_rss(image, head()), score_against_rss(disturbed, head())
    assert after["psnr"] == pytest.approx(before["psnr"])
    assert after["nrmse"] == pytest.approx(before["nrmse"])
    assert after["rss_psnr"] < before["rss_psnr"] - 3


def test_copying_the_noise_floor_does_not_pay() -> None:
    """The floor-corrected image scores best; the plain RSS, though equal to its own frame, does not."""
    rss = head(floor=0.3)
    clean, copied = score_against_rss(floor_corrected(rss)[0], rss), score_against_rss(rss, rss)
    assert copied["rss_psnr"] == np.inf
    assert clean["psnr"] == np.inf
    assert copied["psnr"] < 40


@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (61, 47)])
def test_kspace_gives_the_same_scores_as_its_rss(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    disc = np.hypot(*(np.indices(shape) - np.array(shape)[:, None, None] / 2)) < 14
    coils = disc * np.array([1.0, 0.5, 0.7j])[:, None, None] + 0.01 * rng.standard_normal((3, *shape))
    shifted = np.fft.ifftshift(coils, axes=(-2, -1))
    kspace = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))
    rss = np.sqrt((abs(coils) ** 2).sum(0))
    assert rss_image(kspace) == pytest.approx(rss, abs=1e-6)
    image = disc + 0.1 * rng.standard_normal(shape)
    assert score_against_kspace(image, kspace) == pytest.approx(score_against_rss(image, rss))


@pytest.mark.parametrize(
    ("image", "full", "error", "message"),
    [
        (np.ones((60, 47)), head(), ShapeError, r"\(60, 47\), its full k-space gives \(60, 48\)"),
        (np.ones((6, 60)), np.ones((6, 60)), ShapeError, "at least 7 x 7"),
        (np.zeros((60, 48)), head(), ConfigError, "reconstruction is zero everywhere"),
        (np.full((60, 48), np.nan), head(), ConfigError, "NaN"),
        (1.0 * ~DISC, head(), ConfigError, "zero in the whole head"),
        (np.ones((60, 48)), np.ones((60, 48)), ConfigError, "no head found"),
        (np.ones((60, 48)), np.zeros((60, 48)), ConfigError, "no head found"),
    ],
)
def test_what_has_no_score_is_refused(
    image: NDArray[np.generic], full: NDArray[np.generic], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        score_against_rss(image, full)


def test_kspace_needs_a_coil_axis() -> None:
    with pytest.raises(ShapeError, match=r"expected \(coil, rows, columns\)"):
        score_against_kspace(np.ones((60, 48)), np.ones((60, 48), complex))
