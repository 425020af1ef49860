"""fastMRI's mask families: equal to that package bit for bit, and what they are by definition."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.mask_functions import FASTMRI_MASKS, MaskFunction, create_mask_function, seed_from_name
from kascade.errors import ConfigError

PEERS = {
    "random": "RandomMaskFunc",
    "equispaced": "EquiSpacedMaskFunc",
    "equispaced_fraction": "EquispacedMaskFractionFunc",
    "magic": "MagicMaskFunc",
    "magic_fraction": "MagicMaskFractionFunc",
}
NAMES = list(FASTMRI_MASKS)
SEEDS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6).map(tuple),
    st.text(min_size=1, max_size=20).map(seed_from_name),
)
PAIRS = st.lists(
    st.tuples(st.one_of(st.sampled_from([0.0, 0.04, 0.08, 0.16]), st.floats(0, 0.3)), st.integers(1, 12)),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def subsample(fastmri_package: ModuleType) -> ModuleType:
    return importlib.import_module(f"{fastmri_package.__name__}.data.subsample")


def both(subsample: ModuleType, name: str, pairs: list[tuple[float, float]], seed: Any) -> tuple[MaskFunction, Any]:
    fractions, accelerations = [list(values) for values in zip(*pairs, strict=True)]
    peer = getattr(subsample, PEERS[name])(fractions, accelerations, seed=seed)
    return create_mask_function(name, fractions, accelerations, seed), peer


def assert_same_call(ours: MaskFunction, peer: Any, columns: int, seed: Any = None, offset: int | None = None) -> bool:
    """Compare one call; False where we refuse, which must be where fastMRI fails or its formula breaks down."""
    try:
        mask, low = ours(columns, seed, offset=offset)
    except ConfigError:
        with np.errstate(all="ignore"):
            try:
                expected, expected_low = peer((1, columns, 2), offset, seed)
            except (ValueError, ZeroDivisionError, IndexError, AssertionError):
                return False
        # The package does answer here: a center that alone is as much as the acceleration allows, or more.
        assert expected_low * max(ours.accelerations) >= columns
        return False
    expected, expected_low = peer((1, columns, 2), offset, seed)
    assert low == expected_low
    assert mask.dtype == expected.dtype == torch.float32
    assert torch.equal(mask, expected.reshape(-1))
    return True


@pytest.mark.parity
@pytest.mark.parametrize("name", NAMES)
@given(pairs=PAIRS, columns=st.integers(8, 420), start=SEEDS, call=SEEDS)
@settings(max_examples=60, deadline=None)
def test_equals_fastmri(
    subsample: ModuleType, name: str, pairs: list[tuple[float, float]], columns: int, start: Any, call: Any
) -> None:
    ours, peer = both(subsample, name, pairs, start)
    for seed in (None, call, None, None):  # the generator advances, and a seeded call does not disturb it
        if not assert_same_call(ours, peer, columns, seed):
            return  # the package fails half-way, with its generator elsewhere


@pytest.mark.parity
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [320, 322, 368, 371, 372, 640])
@pytest.mark.parametrize("pairs", [[(0.08, 4)], [(0.04, 8)], [(0.08, 4), (0.04, 8)]])
def test_equals_fastmri_at_its_own_settings(
    subsample: ModuleType, name: str, columns: int, pairs: list[tuple[float, float]]
) -> None:
    ours, peer = both(subsample, name, pairs, 42)
    for seed in (None, seed_from_name("file1000001.h5"), 7, None, (1, 2, 3), None):
        assert assert_same_call(ours, peer, columns, seed)
    for offset in (0, 1, 3):
        assert assert_same_call(ours, peer, columns, 5, offset)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["random", "equispaced_fraction", "magic_fraction"])
@pytest.mark.parametrize("accel", [2.5, 4.7])
def test_equals_fastmri_at_fractional_acceleration(subsample: ModuleType, name: str, accel: float) -> None:
    ours, peer = both(subsample, name, [(0.06, accel)], 3)
    assert all(assert_same_call(ours, peer, columns) for columns in (100, 181, 368))


@pytest.mark.parametrize("name", NAMES)
@given(columns=st.integers(100, 400), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_center_is_sampled_and_acceleration_is_near_the_nominal(name: str, columns: int, seed: int) -> None:
    mask, low = create_mask_function(name, [0.08], [4])(columns, seed)
    start = (columns - low + 1) // 2
    assert mask.shape == (columns,)
    assert low == round(0.08 * columns)
    assert mask[start : start + low].all()
    true = columns / float(mask.sum())
    # random: five standard deviations of a binomial; the plain families add the center on top of every fourth column.
    spread = 5 * (columns * 0.17 * 0.83) ** 0.5 * 16 / columns
    margin = {"random": spread, "equispaced": 1.2, "magic": 1.2}.get(name, 0.6)
    assert true == pytest.approx(4, abs=margin)


@pytest.mark.parametrize("name", ["magic", "magic_fraction"])
@pytest.mark.parametrize("offset", range(4))
def test_magic_samples_are_never_conjugates_of_each_other(name: str, offset: int) -> None:
    columns = 200
    mask, _ = create_mask_function(name, [0.0], [4])(columns, 0, offset=offset)
    sampled = {int(c) - columns // 2 for c in mask.nonzero()}
    assert {f for f in sampled if -f in sampled} <= ({0} if name == "magic_fraction" else set())


def test_a_seeded_call_does_not_advance_the_generator() -> None:
    draws = [create_mask_function("random", [0.08], [4], seed=9) for _ in range(2)]
    draws[1](128, seed=1)
    assert torch.equal(draws[0](128)[0], draws[1](128)[0])
    assert torch.equal(draws[0](128, (1, 2))[0], draws[1](128, (1, 2))[0])
    assert not torch.equal(draws[0](128)[0], draws[0](128)[0])


@pytest.mark.parametrize("name", ["random", "equispaced_fraction", "magic_fraction"])
@pytest.mark.parametrize("columns", [100, 368])
def test_a_center_that_uses_up_the_acceleration_is_refused(name: str, columns: int) -> None:
    with pytest.raises(ConfigError, match=rf"mask {name}: .*lower center_fraction or the acceleration"):
        create_mask_function(name, [0.25], [4])(columns, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spiral", [0.08], [4]), "mask 'spiral' is unknown"),
        (("random", [], []), "0 center fractions for 0"),
        (("random", [0.08, 0.04], [4]), "2 center fractions for 1"),
        (("random", [-0.1], [4]), "center_fraction -0.1"),
        (("random", [float("nan")], [4]), "center_fraction nan"),
        (("random", [0.08], [0.5]), "acceleration 0.5"),
        (("magic", [0.08], [float("inf")]), "acceleration inf"),
        (("equispaced", [0.08], [4.5]), "acceleration 4.5 must be a whole number"),
        (("magic", [0.08], [4.5]), "acceleration 4.5 must be a whole number"),
        (("random", [0.08], [4], -1), "mask seed -1"),
        (("random", [0.08], [4], ()), r"mask seed \(\)"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_mask_function(*arguments)


@pytest.mark.parametrize(
    ("arguments", "offset", "message"),
    [((0,), None, "0 columns"), ((64, 2**32), None, "mask seed"), ((64,), -1, "offset -1"), ((64,), 64, "offset 64")],
)
def test_bad_call_arguments_are_named(arguments: tuple[int, ...], offset: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_mask_function("equispaced", [0.08], [4])(*arguments, offset=offset)
