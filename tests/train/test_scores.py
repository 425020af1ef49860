from __future__ import annotations

import numpy as np
import pytest

from kascade.train.scores import CEILING_DB, score


def images() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    target = np.zeros((20, 24), complex)
    target[4:16, 5:18] = np.exp(2j * np.pi * generator.random((12, 13))) * generator.uniform(0.2, 1, (12, 13))
    target[8, 8] = 1
    return target + 0.1 * np.exp(2j * np.pi * generator.random((20, 24))), target


def test_formula_within_the_object() -> None:
    image, target = images()
    inside = np.abs(target) > 0.05
    error = np.mean((np.abs(image) - np.abs(target))[inside] ** 2)
    assert score(image, target).psnr == pytest.approx(10 * np.log10(1 / error))


def test_background_and_phase_do_not_matter_for_psnr() -> None:
    image, target = images()
    other = np.where(np.abs(target) > 0, image, 0.7) * 1j
    assert score(other, target).psnr == pytest.approx(score(image, target).psnr)
    assert score(other, target).ssim < score(image, target).ssim  # whose window reaches over the edge


def test_scale_of_both_does_not_matter() -> None:
    image, target = images()
    assert score(1e-6 * image, 1e-6 * target) == pytest.approx(score(image, target), rel=1e-6)


def test_a_perfect_image_and_an_empty_target() -> None:
    _, target = images()
    assert score(target, target) == pytest.approx((CEILING_DB, 1.0))
    assert score(target, 0 * target) is None
