"""Confidence intervals of paired differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kascade.benchmarks.lambda_schedules_statistics import paired_difference
from kascade.errors import ShapeError


def crossed(rng: np.random.Generator, seeds: int, scans: int, spread: tuple[float, float, float]) -> np.ndarray:
    """Differences around 0 with effects of the seed, of the scan, and of both together."""
    by_seed, by_scan, rest = spread
    noise = rest * rng.standard_normal((seeds, scans))
    return by_seed * rng.standard_normal((seeds, 1)) + by_scan * rng.standard_normal((1, scans)) + noise


@pytest.mark.parametrize("shape", [(1, 9), (5, 1)])
def test_one_seed_or_one_scan_gives_the_paired_t_test(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, *shape))
    expected = stats.ttest_rel(a.ravel(), b.ravel()).confidence_interval(0.95)
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.freedom == a.size - 1


def test_without_an_effect_of_scans_the_seeds_are_the_units() -> None:
    """Scans that add up to the same for every seed: the interval is that of the means of the seeds."""
    seeds = np.array([0.1, 0.3, 0.8])[:, None]
    wiggle = np.array([1, -1, 1, -1]) * np.array([1, -1, 1])[:, None]
    found = paired_difference(seeds + 0.01 * wiggle, np.zeros((3, 4)))
    expected = stats.ttest_1samp(seeds.ravel(), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.by_seed == pytest.approx((0.1, 0.3, 0.8))


@pytest.mark.parametrize(
    "spread", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.3), (0.0, 1.0, 0.3), (0.5, 1.0, 1.0), (0.2, 1.0, 0.1)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(spread: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(7)
    trials = 1500
    hits = 0
    for _ in range(trials):
        found = paired_difference(crossed(rng, 3, 10, spread), np.zeros((3, 10)))
        hits += found.low <= 0 <= found.high
    assert 0.93 < hits / trials < 0.995


def test_seeds_that_disagree_give_a_wide_interval() -> None:
    rng = np.random.default_rng(2)
    agree, disagree = (crossed(rng, 3, 10, (s, 0.1, 0.1)) for s in (0.0, 1.0))
    zero = np.zeros((3, 10))
    widths = [d.high - d.low for d in (paired_difference(agree, zero), paired_difference(disagree, zero))]
    assert widths[1] > 5 * widths[0]


@given(seed=st.integers(0, 1000), seeds=st.integers(1, 4), scans=st.integers(2, 6), offset=st.floats(-5, 5))
def test_offsets_and_signs(seed: int, seeds: int, scans: int, offset: float) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, seeds, scans))
    here, there, back = paired_difference(a, b), paired_difference(a + offset, b), paired_difference(b, a)
    assert (there.mean, there.low, there.high) == pytest.approx(
        (here.mean + offset, here.low + offset, here.high + offset), abs=1e-9
    )
    assert (back.mean, back.low, back.high) == pytest.approx((-here.mean, -here.high, -here.low))
    assert here.low <= here.mean <= here.high


def test_one_difference_has_no_interval_and_equal_scores_a_sharp_one() -> None:
    one = paired_difference([[2.0]], [[1.5]])
    assert one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.high)
    same = paired_difference(np.full((3, 4), 2.0), np.full((3, 4), 1.0))
    assert (same.low, same.mean, same.high) == (1, 1, 1)


def test_other_shapes_are_refused() -> None:
    for a, b in (([1.0], [1.0]), ([[1.0]], [[1.0, 2.0]]), (np.zeros((0, 3)), np.zeros((0, 3)))):
        with pytest.raises(ShapeError, match=r"expected two equal \(seeds, scans\)"):
            paired_difference(a, b)
