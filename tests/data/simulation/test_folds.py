from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kascade.data.simulation.anatomy import Head, Plane
from kascade.data.simulation.folds import CORTEX_MM, Fold, carve, fissures, sulci

AXIS = torch.linspace(-40, 40, 161, dtype=torch.float64)
GRID = Plane(AXIS[None, :].expand(161, -1), AXIS[:, None].expand(-1, 161), 0.0)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-25, 25), st.floats(-25, 25)), min_size=2, max_size=9, unique=True),
    st.floats(0.1, 2.5),
)
def test_carving_is_exact_down_to_the_cortex(points: list[tuple[float, float]], width: float) -> None:
    corners = np.array(points)
    assume(np.hypot(*np.diff(corners, axis=0).T).min() > 1e-3)
    depth = carve(torch.full_like(GRID.x, 100.0), GRID, [Fold(corners, width, width)])
    dense = np.concatenate([a + np.linspace(0, 1, 60)[:, None] * (b - a) for a, b in pairwise(corners)])
    here = torch.stack([GRID.x.flatten(), GRID.y.flatten()], dim=-1)
    exact = torch.cdist(here, torch.from_numpy(dense)).amin(1).reshape(161, 161) - width
    shallow = exact < CORTEX_MM - 0.1
    assert (depth - exact)[shallow].abs().max() < 0.6  # the comparison's points lie up to 1.2 mm apart
    assert (depth <= exact + 1e-9).sum() >= shallow.sum() * 0.99
    assert (depth[~shallow] > CORTEX_MM - 0.7).all()


def test_fold_narrows_from_its_mouth() -> None:
    fold = Fold(np.array([[0.0, 0], [0, 4], [0, 20]]), mouth=2.0, floor=0.5)
    assert fold.widths[0] == 2.0
    assert fold.widths[1] == pytest.approx(0.5 + 1.5 / np.e)
    assert fold.widths[2] == pytest.approx(0.5, abs=0.02)


def test_carve_leaves_its_input_alone() -> None:
    depth = torch.ones_like(GRID.x)
    carve(depth, GRID, [Fold(np.array([[0.0, 0], [10, 0]]), 1, 1)])
    assert (depth == 1).all()


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10**6), st.floats(-4, 52))
def test_cortex_is_folded_on_both_sides_and_spares_the_core(seed: int, z: float) -> None:
    head = Head.random(seed)
    folds = sulci(head, z)
    for side in (-1, 1):
        own = [fold for fold in folds if np.sign(fold.points[-1, 0]) == side]
        assert len(own) > 15
        length = sum(np.hypot(*np.diff(fold.points, axis=0).T).sum() for fold in own)
        assert length > 150  # mm of sulci per hemisphere and slice
    points = np.concatenate([fold.points for fold in folds])
    assert np.isfinite(points).all()
    core = (abs(abs(points[:, 0]) - 23) < 5) & (abs(points[:, 1]) < 15)
    assert not core.any()


def test_neighboring_slices_have_nearly_the_same_folds() -> None:
    head = Head.random(0)
    plane = head.plane(torch.linspace(-90, 90, 180), torch.linspace(-110, 110, 220), 10.0)
    near, same, far = (carve(-head.hull(plane), plane, fissures(head, z) + sulci(head, z)) for z in (10.0, 10.2, 34.0))
    brain = head.hull(plane) < 0
    assert ((near > 2) == (same > 2))[brain].float().mean() > 0.97
    assert ((near > 2) == (far > 2))[brain].float().mean() < 0.93


def test_fissure_is_open_above_the_callosum_and_bridged_below() -> None:
    head = Head.random(0)
    assert len(fissures(head, 40.0)) == 1
    low = fissures(head, 4.0)
    assert len(low) == 2
    assert low[0].points[-1, 1] == pytest.approx(head.callosum(4.0)[0])  # type: ignore[index]
