from __future__ import annotations

import numpy as np
import pytest
import torch

from kascade.data.degradation import (
    LABELS,
    SEVERITIES,
    LowResolution,
    Noise,
    degrade,
    intensity_scale,
    labels_of,
    make_degradations,
    parse_sources,
)
from kascade.data.degradation.degrade import head_mask
from kascade.errors import ConfigError
from tests.heads import head_slices

MIXTURES = ["motion", "low-resolution", "noise", "motion+low-resolution", "motion+noise", "noise+low-resolution"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_labels_name_every_source_of_a_mixture() -> None:
    assert LABELS == ("motion", "low-resolution", "noise", "clean")
    assert labels_of(parse_sources("noise + motion")).tolist() == [1, 0, 1, 0]
    assert labels_of(parse_sources("clean")).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("text", ["blur", "", "motion+motion", "clean+noise"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected clean, or some of motion, low-resolution, noise"):
        parse_sources(text)
    with pytest.raises(ConfigError, match="a severity of mild, moderate, severe"):
        make_degradations(("noise",), "terrible")


@pytest.mark.parametrize("mixture", MIXTURES)
def test_outside_the_head_every_class_is_the_same(mixture: str) -> None:
    clean = head_slices()
    head = head_mask(clean)
    plain = degrade(clean, [], rng(3))
    made = degrade(clean, make_degradations(parse_sources(mixture), "severe"), rng(3))
    assert 0.2 < float(head.float().mean()) < 0.8
    assert torch.equal(made.image[~head], plain.image[~head]) and torch.equal(made.clean, plain.clean)
    assert torch.equal(plain.image, plain.clean)
    assert not torch.allclose(made.image[head], plain.image[head], atol=1e-3)
    assert torch.equal(made.labels, labels_of(parse_sources(mixture)))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_severities_are_ordered_and_seeds_decide(mixture: str) -> None:
    clean = head_slices()
    head = head_mask(clean)

    def error(severity: str, seed: int) -> float:
        made = degrade(clean, make_degradations(parse_sources(mixture), severity), rng(seed))
        return float((made.image - made.clean)[head].square().mean())

    errors = [np.mean([error(severity, seed) for seed in range(12)]) for severity in SEVERITIES]
    assert errors[0] < errors[1] < errors[2]
    assert error("mild", 1) == error("mild", 1)
    if mixture != "low-resolution":
        assert error("mild", 1) != error("mild", 2)


@pytest.mark.parametrize(("severity", "area"), [("mild", 0.5), ("moderate", 0.25), ("severe", 0.0625)])
def test_low_resolution_keeps_the_stated_area_of_k_space(severity: str, area: float) -> None:
    image = torch.from_numpy(rng().standard_normal((1, 200, 160, 2))).float()
    kept = torch.fft.fft2(LowResolution(severity)(torch.view_as_complex(image), rng()))
    assert float((kept.abs() > 1e-3).float().mean()) == pytest.approx(area, rel=0.06)
    assert bool((kept.abs() > 1e-3)[0, 0, 0])


@pytest.mark.parametrize(("severity", "std"), [("mild", 0.02), ("moderate", 0.05), ("severe", 0.1)])
def test_noise_has_the_stated_strength_in_each_part(severity: str, std: float) -> None:
    noise = Noise(severity)(torch.zeros(1, 200, 200, dtype=torch.complex64), rng())
    assert float(noise.real.std()) == pytest.approx(std, rel=0.03)
    assert float(noise.imag.std()) == pytest.approx(std, rel=0.03)


def test_noise_of_a_scan_of_low_resolution_has_low_resolution() -> None:
    image = torch.zeros(1, 64, 64, dtype=torch.complex64)
    for step in make_degradations(("low-resolution", "noise"), "severe"):
        image = step(image, rng())
    assert float((torch.fft.fft2(image).abs() > 1e-3).float().mean()) == pytest.approx(0.0625, rel=0.15)


def test_the_scale_ignores_a_few_bright_voxels() -> None:
    volume = head_slices(5)
    before = intensity_scale(volume)
    volume[2, 20, 20] = 50.0
    assert intensity_scale(volume) == pytest.approx(before, rel=0.02)
    assert intensity_scale(torch.zeros(2, 3, 4)) == 1.0


def test_the_head_has_no_holes_and_noise_all_over_has_no_outside() -> None:
    clean = head_slices()
    clean[:, 22:25, 18:20] = 0
    assert bool(head_mask(clean)[:, 20:28, 15:25].all())
    assert bool(head_mask(clean + 0.01).all())
