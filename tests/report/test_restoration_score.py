from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kascade.errors import ShapeError
from kascade.report.restoration_score import no_reference, roc_auc, score_restored


def test_only_errors_in_the_head_count_on_the_scale_of_the_paper() -> None:
    target = np.linspace(-1, 1, 40 * 30).reshape(40, 30)
    head = np.zeros((40, 30), dtype=bool)
    head[5:30, 5:25] = True
    found = score_restored(np.where(head, target + 0.1, target + 5), target, head)
    assert found is not None
    assert found.rmse == pytest.approx(0.1) and found.psnr == pytest.approx(20 * math.log10(2 / 0.1))
    same = score_restored(target, target, head)
    assert same is not None and same == (100.0, pytest.approx(1.0), 0.0)
    assert score_restored(target, target, np.zeros_like(head)) is None
    with pytest.raises(ShapeError):
        score_restored(target[1:], target, head)


def test_no_reference_scores_of_images_that_are_known() -> None:
    flat = np.full((1, 16, 16), 0.5)
    found = no_reference(flat, 1.0)
    assert {name: float(v[0]) for name, v in found.items()} == {"tenengrad": 0, "entropy": 0, "range": 0}
    ramp = np.tile(np.arange(16) / 255, (16, 1))[None]
    found = no_reference(ramp, 1.0)
    assert found["range"][0] == 15 and found["entropy"][0] == pytest.approx(4.0)  # 16 values, equally often
    # Sobel's weights add up to 8 for a step of one gray value per pixel, half as much at both ends
    assert found["tenengrad"][0] == pytest.approx((14 * 64 + 2 * 16) / 16)


def test_brighter_than_white_is_white_and_slices_share_the_scale() -> None:
    stack = np.zeros((2, 8, 8))
    stack[0, 0, 0], stack[1, 0, 0] = 50.0, 0.5
    assert no_reference(stack, 1.0)["range"].tolist() == [255, 128]


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_probability_of_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = [s for s, _ in pairs], [t for _, t in pairs]
    positive = [s for s, t in pairs if t]
    negative = [s for s, t in pairs if not t]
    found = roc_auc(scores, truth)
    if not positive or not negative:
        assert math.isnan(found)
        return
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    assert found == pytest.approx(np.mean(wins))
