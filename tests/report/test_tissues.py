"""Tissue maps: known tissues are found, in noise and in either contrast."""

from __future__ import annotations

import numpy as np
import pytest

from kascade.errors import ConfigError, ShapeError
from kascade.report.superres_scores import superres_scores
from kascade.report.tissues import dice_scores, tissue_labels


def brain(noise: float = 0.0, contrast: str = "t1") -> tuple[np.ndarray, np.ndarray]:
    """Shells of CSF, gray and white matter with true labels, 24 x 24 x 24."""
    grid = np.meshgrid(*[np.linspace(-1, 1, 24)] * 3, indexing="ij")
    radius = np.sqrt(sum(g**2 for g in grid))
    truth = (radius < 0.95).astype(int) + (radius < 0.8) + (radius < 0.6)
    values = np.array([0, 20, 60, 100] if contrast == "t1" else [0, 120, 70, 40], dtype=np.float32)
    image = values[truth] + (truth > 0) * noise * np.random.default_rng(0).standard_normal(truth.shape)
    return image.astype(np.float32), truth


@pytest.mark.parametrize("contrast", ["t1", "t2"])
def test_tissues_are_found(contrast: str) -> None:
    image, truth = brain(6, contrast)
    labels = tissue_labels(image, truth > 0, contrast)
    assert min(dice_scores(labels, truth).values()) > 0.98
    assert not labels[truth == 0].any()


def test_the_neighborhood_helps_against_noise() -> None:
    image, truth = brain(18)
    alone, together = (dice_scores(tissue_labels(image, truth > 0, smoothness=s), truth)["mean"] for s in (0.0, 0.5))
    assert together > alone + 0.05


def test_amplitude_does_not_matter() -> None:
    image, truth = brain(10)
    assert np.array_equal(tissue_labels(image, truth > 0), tissue_labels(1000 * image, truth > 0))


def test_dice() -> None:
    truth = np.array([[[0, 1, 1, 2, 2, 3, 3, 3]]])
    labels = np.array([[[0, 1, 2, 2, 2, 3, 3, 1]]])
    scores = dice_scores(labels, truth)
    assert scores == pytest.approx({"csf": 0.5, "gray": 0.8, "white": 0.8, "mean": 0.7})
    with pytest.raises(ShapeError):
        dice_scores(labels, truth[..., :-1])


def test_nonsense_is_refused() -> None:
    image, truth = brain()
    with pytest.raises(ConfigError, match="t1, t2"):
        tissue_labels(image, truth > 0, "flair")
    with pytest.raises(ShapeError):
        tissue_labels(image, truth[:-1] > 0)
    with pytest.raises(ConfigError, match="two gray values"):
        tissue_labels(image, truth > 5)


def test_scores_of_a_restored_volume() -> None:
    image, _ = brain(4)
    perfect = superres_scores(image, image, -1)
    assert perfect["psnr"] == perfect["psnr_slices"] == float("inf")
    assert [perfect[k] for k in ("ssim", "ssim_slices", "dice_mean")] == pytest.approx([1, 1, 1])
    worse = superres_scores(0.5 * (image + np.roll(image, 2, 2)), image, -1)
    assert worse["ssim"] < 0.95 and worse["ssim_slices"] < 0.95 and worse["dice_gray"] < 0.95
    error = np.sqrt(np.mean((0.5 * (image - np.roll(image, 2, 2))) ** 2))
    assert worse["psnr"] == pytest.approx(20 * np.log10(image.max() / error), abs=1e-3)
    known = np.zeros(image.shape, dtype=np.uint8)
    assert superres_scores(image, image, -1, labels=known)["dice_mean"] == 0
    with pytest.raises(ShapeError):
        superres_scores(image, image[1:], -1)
