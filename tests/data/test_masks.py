"""Uniform and Poisson-disc masks, padding, and the user's choice among all kinds."""

from __future__ import annotations

import pytest
import torch

from kascade.data.masks import (
    FASTMRI_MASKS,
    MASK_KINDS,
    MaskSpec,
    acs_rectangle,
    apply_padding,
    create_mask_function,
    poisson_mask,
    seed_from_name,
    true_acceleration,
    uniform_mask,
)
from kascade.errors import ConfigError


@pytest.mark.parametrize(
    ("columns", "accel", "acs", "true"),
    [(180, 4, 24, 2.857), (180, 3, 24, 2.368), (100, 4, 16, 2.703), (9, 2, 0, 1.8), (16, 1, 0, 1.0)],
)
def test_uniform_mask_samples_every_rth_column_and_the_center(columns: int, accel: int, acs: int, true: float) -> None:
    mask = uniform_mask(columns, accel, acs)
    start = (columns - acs + 1) // 2
    expected = [float(c % accel == 0 or start <= c < start + acs) for c in range(columns)]
    assert mask.dtype == torch.float32
    assert mask.tolist() == expected
    assert true_acceleration(mask) == pytest.approx(true, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 0), "0 columns"),
        ((16, 0, 0), "acceleration 0"),
        ((16, 2.5, 0), "acceleration 2.5"),
        ((16, 17, 0), "acceleration 17"),
        ((16, float("nan"), 0), "acceleration nan"),
        ((16, 2, 17), "17 central lines do not fit 16 columns"),
        ((16, 2, -1), "-1 central lines"),
    ],
)
def test_uniform_mask_refuses_what_cannot_be(arguments: tuple[int, float, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        uniform_mask(*arguments)


def test_padding_zeroes_outside_its_limits_and_leaves_the_mask_alone() -> None:
    mask = torch.ones(3, 8)
    assert apply_padding(mask, 2, 7)[1].tolist() == [0, 0, 1, 1, 1, 1, 1, 0]
    assert mask.all()
    assert torch.equal(apply_padding(mask, 0, 8), mask)


@pytest.mark.parametrize("limits", [(-1, 4), (4, 4), (5, 4), (0, 9)])
def test_padding_limits_must_make_sense(limits: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="padding limits"):
        apply_padding(torch.ones(8), *limits)


@pytest.mark.parametrize(("accel", "acs", "seed"), [(4, 16, 1), (6, 12, 5), (8, 0, 7)])
def test_poisson_mask_meets_acceleration_and_center(accel: float, acs: int, seed: int) -> None:
    mask = poisson_mask((96, 80), accel, acs, seed)
    assert mask.shape == (96, 80)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert true_acceleration(mask) == pytest.approx(accel, abs=0.1)
    top, left = (96 - acs + 1) // 2, (80 - acs + 1) // 2
    assert mask[top : top + acs, left : left + acs].all()
    assert torch.equal(mask, poisson_mask((96, 80), accel, acs, seed))
    assert not torch.equal(mask, poisson_mask((96, 80), accel, acs, seed + 1))


def test_poisson_mask_survives_a_start_inside_the_center() -> None:
    """SigPy's first point falls into the center with seed 0 here, and its search would never end."""
    mask = poisson_mask((100, 100), 6, 16, 0)
    assert true_acceleration(mask) == pytest.approx(6, abs=0.1)
    rows, columns = acs_rectangle(mask)
    assert rows.stop - rows.start >= 16
    assert columns.stop - columns.start >= 16


def test_poisson_mask_of_odd_size_has_fastmris_center() -> None:
    mask = poisson_mask((65, 51), 4, 8, 0)
    assert mask[29:37, 22:30].all()


@pytest.mark.parametrize(
    ("shape", "accel", "acs", "seed", "message"),
    [
        ((32, 32), 1.0, 4, 0, "must exceed 1"),
        ((32, 32), 20, 8, 0, "leave samples outside"),
        ((32, 8), 2, 8, 0, "center of 8 x 8 does not fit 32 x 8"),
        ((32, 32), 1.01, 4, 0, "SigPy finds none"),
        ((32, 32), 4, 4, -1, "mask seed -1"),
    ],
)
def test_poisson_mask_refuses_what_cannot_be(
    shape: tuple[int, int], accel: float, acs: int, seed: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        poisson_mask(shape, accel, acs, seed)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_spec_makes_every_kind_and_repeats_itself_for_a_name(kind: str) -> None:
    spec = MaskSpec(kind, accel=4)
    mask = spec.make((48, 96), "file1000.h5")
    assert mask.shape == ((48, 96) if kind == "poisson" else (96,))
    assert torch.equal(mask, spec.make((48, 96), "file1000.h5"))
    others = [spec.make((48, 96), f"file{n}.h5") for n in range(1001, 1005)]
    assert any(not torch.equal(mask, other) for other in others) == (kind != "uniform")
    seeded = MaskSpec(kind, accel=4, seed=3)
    assert torch.equal(seeded.make((48, 96), "a.h5"), seeded.make((48, 96)))


@pytest.mark.parametrize("kind", list(FASTMRI_MASKS))
@pytest.mark.parametrize(("accel", "fraction"), [(4, 0.08), (8, 0.04)])
def test_spec_defaults_to_fastmris_center_and_seed(kind: str, accel: int, fraction: float) -> None:
    expected, _ = create_mask_function(kind, [fraction], [accel])(368, seed_from_name("file1000.h5"))
    assert torch.equal(MaskSpec(kind, accel).make((640, 368), "file1000.h5"), expected)


def test_spec_center_is_given_in_lines_or_as_a_fraction() -> None:
    assert torch.equal(MaskSpec("uniform", 4).make((8, 180)), uniform_mask(180, 4, 24))
    assert torch.equal(MaskSpec("uniform", 4, center_fraction=0.1).make((8, 180)), uniform_mask(180, 4, 18))
    for acs in (11, 24):
        lines = MaskSpec("random", 4, acs=acs, seed=1).make((8, 181))
        start = (181 - acs + 1) // 2
        assert lines[start : start + acs].all()
        assert torch.equal(lines, create_mask_function("random", [acs / 181], [4])(181, 1)[0])
    assert MaskSpec("poisson", 4, acs=10, seed=1).make((64, 64))[27:37, 27:37].all()


def test_spec_describes_nominal_and_true_acceleration() -> None:
    spec = MaskSpec("uniform", 4, acs=24)
    assert spec.describe(spec.make((230, 180))) == "uniform, R=4, true acceleration 2.86 (63 of 180 columns)"
    assert MaskSpec("poisson", 2.5).describe(torch.eye(4)) == (
        "poisson, R=2.5, true acceleration 4.00 (4 of 16 samples)"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "spiral"}, "mask 'spiral' is unknown; choose one of uniform, random"),
        ({"accel": 0.5}, "acceleration 0.5"),
        ({"accel": float("inf")}, "acceleration inf"),
        ({"acs": 24, "center_fraction": 0.08}, "give only one"),
        ({"acs": -1}, "acs=-1"),
        ({"center_fraction": 1.5}, "center_fraction 1.5"),
        ({"seed": -1}, "mask seed -1"),
    ],
)
def test_spec_refuses_bad_values(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaskSpec(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in MASK_KINDS if kind != "uniform"])
def test_spec_of_a_random_kind_needs_a_seed_or_a_name(kind: str) -> None:
    with pytest.raises(ConfigError, match="give a seed, or the name"):
        MaskSpec(kind).make((64, 64))
