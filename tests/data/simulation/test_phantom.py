from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d

from kascade.data.simulation.phantom import (
    CONTRASTS,
    SLICE_RANGE_MM,
    TISSUES,
    contrast_signals,
    head_phantom,
    head_tissues,
    head_volume,
)
from kascade.errors import ConfigError, ShapeError

SMALL = (96, 96)


def difference(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize(("pixels", "factor"), [(96, 3), (64, 5), (65, 3)])
def test_same_head_at_every_resolution(pixels: int, factor: int) -> None:
    coarse = head_phantom((pixels, pixels))
    fine = head_phantom((pixels * factor, pixels * factor))
    shift = (pixels // 2) * factor + factor // 2 - (pixels * factor) // 2  # the centers of the two grids coincide
    pooled = avg_pool2d(torch.roll(fine, (shift, shift), (0, 1))[None], factor)[0]
    assert difference(coarse, pooled) < 0.04


def test_field_of_view_moves_no_tissue() -> None:
    wide = head_phantom((120, 128), fov_mm=(300, 320))
    narrow = head_phantom((100, 96), fov_mm=(250, 240))
    assert difference(wide[10:110, 16:112], narrow) < 1e-5


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10**9), st.floats(*SLICE_RANGE_MM), st.sampled_from([*CONTRASTS, "random"]))
def test_image_is_repeatable_finite_positive_and_zero_outside(seed: int, z: float, contrast: str) -> None:
    image = head_phantom((48, 40), slice_position_mm=z, seed=seed, contrast=contrast, fov_mm=(240, 200))
    assert image.shape == (48, 40)
    assert image.dtype == torch.float32
    assert torch.equal(
        image, head_phantom((48, 40), slice_position_mm=z, seed=seed, contrast=contrast, fov_mm=(240, 200))
    )
    assert torch.isfinite(image).all()
    assert (image >= 0).all()
    assert image[0].abs().sum() + image[-1].abs().sum() + image[:, 0].abs().sum() == 0
    assert image.max() > 0.2


def test_seeds_give_different_heads_and_slices_of_one_head_fit() -> None:
    reference = head_phantom(SMALL, slice_position_mm=20)
    assert difference(head_phantom(SMALL, slice_position_mm=20, seed=1), reference) > 0.2
    steps = [difference(head_phantom(SMALL, slice_position_mm=20 + dz), reference) for dz in (0.1, 1, 8)]
    assert steps[0] < 0.05 < steps[2]
    assert steps == sorted(steps)


def test_nose_points_to_the_first_row_and_the_frontal_horns_diverge_forward() -> None:
    csf = head_tissues((240, 240), slice_position_mm=4)[TISSUES.index("csf")]
    columns = torch.arange(240.0) - 120

    def spread(rows: slice) -> float:
        weight = csf[rows, 95:145].sum(0)
        return float((weight * columns[95:145].abs()).sum() / weight.sum())

    assert spread(slice(92, 97)) > spread(slice(104, 110)) + 2


def test_tissue_maps_sum_to_the_head_and_explain_the_image() -> None:
    tissues = head_tissues(SMALL)
    total = tissues.sum(0)
    assert tissues.shape == (len(TISSUES), *SMALL)
    assert total.max().item() == pytest.approx(1, abs=1e-5)
    image = head_phantom(SMALL, contrast="t2")
    assert ((image > 0) == (total > 0)).float().mean() > 0.995
    signals = torch.tensor([CONTRASTS["t2"][tissue] for tissue in TISSUES])
    assert difference(image, torch.tensordot(signals, tissues, 1)) < 0.08  # the rest is texture


def test_contrasts_order_the_tissues_as_scanners_do() -> None:
    t1, t2, flair = (CONTRASTS[name] for name in ("t1", "t2", "flair"))
    assert t1["fat"] > t1["white"] > t1["gray"] > t1["csf"]
    assert t2["csf"] > t2["gray"] > t2["white"] > t2["bone"]
    assert flair["gray"] > flair["white"] > flair["csf"]


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_random_contrasts_are_positive_and_repeatable(seed: int) -> None:
    signals = contrast_signals("random", seed)
    assert signals == contrast_signals("random", seed)
    assert list(signals) == list(TISSUES)
    assert min(signals.values()) > 0
    assert signals != contrast_signals("random", seed + 1)


def test_own_contrast_scales_the_image() -> None:
    own = dict(zip(TISSUES, torch.rand(len(TISSUES)).tolist(), strict=True))
    double = {tissue: 2 * signal for tissue, signal in own.items()}
    torch.testing.assert_close(head_phantom((40, 40), contrast=double), 2 * head_phantom((40, 40), contrast=own))


def test_volume_is_its_slices() -> None:
    volume = head_volume((3, 40, 32), slice_positions_mm=(0, 10, 20), seed=4)
    assert torch.equal(volume[1], head_phantom((40, 32), slice_position_mm=10, seed=4))
    assert head_volume((2, 24, 24)).shape == (2, 24, 24)
    assert head_volume((12, 8, 8)).shape == (12, 8, 8)  # thinner slices, so that all stay inside the head


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": (4,)}, ShapeError, "expected \\(rows, columns\\)"),
        ({"shape": (0, 4)}, ShapeError, "at least 1"),
        ({"slice_position_mm": 90.0}, ConfigError, "reaches from -4 to 52"),
        ({"slice_position_mm": float("nan")}, ConfigError, "slice_position_mm is nan"),
        ({"fov_mm": -1.0}, ConfigError, "fov_mm"),
        ({"fov_mm": (200.0, 200.0, 5.0)}, ConfigError, "fov_mm"),
        ({"seed": -1}, ConfigError, "seed is -1"),
        ({"contrast": "t3"}, ConfigError, "t1, t2, flair, pd, random"),
        ({"contrast": {"fat": 1.0}}, ConfigError, "missing or unknown tissues .*white"),
        ({"contrast": {**CONTRASTS["t1"], "fat": -1.0}}, ConfigError, "fat are negative"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        head_phantom(**{"shape": (16, 16), **arguments})  # type: ignore[arg-type]


def test_volume_refuses_wrong_stacks() -> None:
    with pytest.raises(ShapeError, match="slices, rows, columns"):
        head_volume((8, 8))
    with pytest.raises(ShapeError, match="2 entries for 3 slices"):
        head_volume((3, 8, 8), slice_positions_mm=(0, 1))
