from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.anatomy import Head, Plane, ellipsoid, tube

AXIS = torch.linspace(-110, 110, 221, dtype=torch.float64)
GRID = Plane(AXIS[None, :].expand(221, -1), AXIS[:, None].expand(-1, 221), 0.0)


def gradient_norm(distance: torch.Tensor) -> torch.Tensor:
    down, across = torch.gradient(distance, spacing=(AXIS, AXIS))
    return (down**2 + across**2).sqrt()


@settings(deadline=None, max_examples=30)
@given(st.floats(1, 40), st.floats(-30, 30), st.floats(-30, 30), st.floats(0, 360))
def test_sphere_has_its_exact_distance(radius: float, x: float, y: float, turn: float) -> None:
    distance = ellipsoid(GRID, (x, y, 0.0), (radius,) * 3, turn)
    exact = ((GRID.x - x) ** 2 + (GRID.y - y) ** 2).sqrt() - radius
    torch.testing.assert_close(distance, exact)


def test_ellipsoid_is_turned_counterclockwise_and_of_unit_slope_at_its_surface() -> None:
    distance = ellipsoid(GRID, (0, 0, 0), (10, 40, 10), 30)
    tip = torch.tensor([-np.sin(np.pi / 6), np.cos(np.pi / 6)]) * 40  # the long axis, from +y toward -x
    column, row = (int(torch.argmin((AXIS - c).abs())) for c in tip)
    assert abs(distance[row, column].item()) < 1
    assert distance[110, 110].item() == pytest.approx(-10)
    surface = distance.abs() < 1
    assert (gradient_norm(distance)[surface] - 1).abs().max() < 0.15


def test_tube_is_a_capsule_with_a_linear_radius() -> None:
    distance = tube(GRID, np.array([[0.0, -20, 0], [0, 20, 0]]), np.array([2.0, 6.0]))
    row, column = 110, 110
    assert distance[row, column].item() == pytest.approx(-4)
    assert distance[row + 50, column].item() == pytest.approx(30 - 6)
    assert distance[row, column + 9].item() == pytest.approx(9 - 4)
    flat = tube(GRID, np.array([[0.0, -20, 0], [0, 20, 0]]), np.array([4.0, 4.0]), flatten=2.0)
    assert flat[row, column + 2].item() == pytest.approx(0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(-4, 52))
def test_hull_is_a_distance_in_space_and_its_outline_lies_on_it(seed: int, z: float) -> None:
    head = Head.random(seed)
    hull = head.hull(Plane(GRID.x, GRID.y, z))
    above = head.hull(Plane(GRID.x, GRID.y, z + 1e-3))
    slope = (gradient_norm(hull) ** 2 + ((above - hull) / 1e-3) ** 2).sqrt()
    assert (slope[hull.abs() < 2] - 1).abs().max() < 0.1
    angles = np.linspace(0, 2 * np.pi, 50)
    rim = torch.from_numpy(head.outline(angles, z))
    assert head.hull(Plane(rim[None, :, 0], rim[None, :, 1], z)).abs().max() < 1e-9
    front, back = head.poles(z)
    assert front > 50
    assert back < -50


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_heads_are_of_human_size_and_repeatable(seed: int) -> None:
    head = Head.random(seed)
    assert head == Head.random(seed)
    assert 50 < head.half_width < 82
    assert head.half_width < head.half_length < 108
    assert min(head.csf, head.bone, head.marrow, head.fat, head.skin) > 1


def test_callosum_bridges_the_middle_and_ends_above() -> None:
    head = Head.random(0)
    callosum = head.callosum(4.0)
    assert callosum is not None
    assert callosum[0] > 20
    assert callosum[1] < -20
    assert head.callosum(35.0) is None


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0.5, 30))
def test_box_holds_every_point_between_its_corners(x: float, y: float, size: float) -> None:
    window = GRID.box((x, y), (x + size, y + size))
    wanted = (GRID.x > x) & (GRID.x < x + size) & (GRID.y > y) & (GRID.y < y + size)
    inside = torch.zeros_like(wanted)
    if window is not None:
        inside[window] = True
    assert not (wanted & ~inside).any()


def test_box_outside_the_plane_is_none() -> None:
    assert GRID.box((300, 0), (310, 10)) is None


def test_plane_undoes_shift_and_turn_of_the_head() -> None:
    head = Head.random(3)
    plane = head.plane(AXIS, AXIS, 0.0)
    angle = np.deg2rad(head.turn_deg)
    x = np.cos(angle) * plane.x - np.sin(angle) * plane.y + head.shift[0]
    torch.testing.assert_close(x, GRID.x)
