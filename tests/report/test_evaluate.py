"""One volume against its target: the crop of fastmri.evaluate, and what happens where that package fails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kascade.errors import ShapeError
from kascade.report.evaluate import METRICS, evaluate_pair
from kascade.report.metrics import nmse, psnr, ssim


def random(*shape: int) -> NDArray[np.floating]:
    return np.random.default_rng(sum(shape)).uniform(0.1, 1, shape).astype(np.float32)


def metrics(x: NDArray[np.floating], t: NDArray[np.floating]) -> tuple[float, float, float]:
    return nmse(x, t), psnr(x, t), ssim(x, t)


def test_both_are_cut_to_columns_x_columns_before_the_peak_is_taken() -> None:
    target, x = random(2, 21, 10), random(2, 21, 10) + 0.1
    target[:, 0] = 50  # outside the crop: neither the peak nor an error
    score = evaluate_pair(x, target)
    assert score["cropped"]
    assert [score[m] for m in METRICS] == pytest.approx(metrics(x[:, 5:15], target[:, 5:15]))  # type: ignore[literal-required]


def test_a_reconstruction_may_be_larger_than_its_target() -> None:
    target = random(2, 12, 12)
    large = np.full((2, 24, 18), 9.0, np.float32)
    large[:, 6:18, 3:15] = target + 0.05
    score = evaluate_pair(large, target)
    assert score["cropped"]
    assert score["nmse"] == pytest.approx(nmse(target + 0.05, target))


def test_without_crop_whole_frames_are_compared() -> None:
    target, x = random(1, 21, 10), random(1, 21, 10) + 0.1
    score = evaluate_pair(x, target, crop=False)
    assert not score["cropped"]
    assert score["nmse"] == pytest.approx(nmse(x, target))


def test_fewer_rows_than_columns_are_not_cropped_and_the_score_says_so() -> None:
    target, x = random(2, 10, 14), random(2, 10, 14) + 0.1
    score = evaluate_pair(x, target)
    assert not score["cropped"]
    assert [score[m] for m in METRICS] == pytest.approx(metrics(x, target))  # type: ignore[literal-required]


def test_one_slice_and_complex_images() -> None:
    target = random(12, 12)
    score = evaluate_pair((target + 0.1) * np.exp(1j * random(12, 12)), target)
    assert score["nmse"] == pytest.approx(nmse(target + 0.1, target), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 12, 12), (2, 12, 11), (2, 9, 12), (12,)])
def test_shapes_that_cannot_be_compared_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="target is"):
        evaluate_pair(random(*shape), random(2, 12, 12))
