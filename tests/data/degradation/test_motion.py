from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kascade.data.degradation.motion import SCHEMES, draw_segments, move_lines
from kascade.physics import RigidMotion


def blob(shape: tuple[int, int], row: float, column: float) -> Tensor:
    """Gaussian, elongated, about a place relative to the middle, (1, rows, columns)."""
    y = torch.arange(shape[0])[:, None] - shape[0] // 2 - row
    x = torch.arange(shape[1]) - shape[1] // 2 - column
    return torch.exp(-(y**2 / 18 + x**2 / 32))[None].to(torch.complex64)


def everything(n: int) -> list[np.ndarray]:
    return [np.arange(n)]


@pytest.mark.parametrize("shape", [(64, 60), (63, 65)])
def test_a_shift_is_a_shift(shape: tuple[int, int]) -> None:
    moved = move_lines(blob(shape, 2, -3), everything(shape[1]), [(0.0, (4.5, -2.25))])
    torch.testing.assert_close(moved, blob(shape, 6.5, -5.25), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(64, 60), (63, 65)])
@pytest.mark.parametrize("angle", [3.0, -17.0])
def test_a_rotation_carries_places_around_the_middle(shape: tuple[int, int], angle: float) -> None:
    moved = move_lines(blob(shape, 5, 12), everything(shape[1]), [(angle, (0.0, 0.0))]).abs()[0]
    y, x = torch.meshgrid(*(torch.arange(n) - n // 2 for n in shape), indexing="ij")
    weight = moved / moved.sum()
    center = float((weight * y).sum()), float((weight * x).sum())
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    assert center == pytest.approx((12 * sin + 5 * cos, 12 * cos - 5 * sin), abs=0.05)
    assert float(moved.square().sum()) == pytest.approx(float(blob(shape, 5, 12).abs().square().sum()), rel=1e-3)


def test_only_the_lines_of_a_segment_move() -> None:
    image = blob((32, 40), 3, 4)
    segment = np.array([2, 3, 30])
    change = torch.fft.fftshift(torch.fft.fft2(move_lines(image, [segment], [(5.0, (3.0, 2.0))]) - image))
    touched = change.abs().amax((0, 1)) > 1e-3
    assert set(touched.nonzero()[:, 0].tolist()) <= set(segment.tolist()) and touched.any()


def test_no_motion_changes_nothing() -> None:
    image = blob((32, 40), 3, 4)
    torch.testing.assert_close(move_lines(image, [np.arange(5, 35)], [(0.0, (0.0, 0.0))]), image, atol=3e-6, rtol=0)


@given(st.sampled_from(SCHEMES), st.integers(16, 256), st.floats(0.01, 0.4), st.integers(0, 10_000))
def test_segments_are_disjoint_spare_the_center_and_have_the_asked_size(
    scheme: str, n: int, fraction: float, seed: int
) -> None:
    segments = draw_segments(n, fraction, scheme, np.random.default_rng(seed))
    lines = np.concatenate(segments)
    assert len(np.unique(lines)) == len(lines) == max(1, round(fraction * n))
    assert lines.min() >= 0 and lines.max() < n
    assert (np.abs(lines - n // 2) > 0.035 * n).all()
    assert all(len(segment) for segment in segments)
    if scheme == "gaussian":
        assert all(len(segment) == 1 for segment in segments)
    else:
        assert len(segments) <= 7


def test_blocks_are_blocks() -> None:
    center = 100  # a block may reach over the spared center
    for seed in range(20):
        for segment in draw_segments(2 * center, 0.3, "piecewise-constant", np.random.default_rng(seed)):
            assert ((np.diff(segment) == 1) | ((segment[:-1] < center) & (segment[1:] > center))).all()


@pytest.mark.parametrize("aspect", [0.4, 2.5])
def test_where_pixels_are_not_square_the_head_turns_not_the_grid(aspect: float) -> None:
    x = blob((64, 60), 3, -4)
    turned = move_lines(x, everything(60), [(6.0, (1.0, -2.0))], aspect)
    expected = RigidMotion(torch.tensor([1.0, -2.0, 6.0]), (64, 60), padding=1, spacing=(aspect, 1.0))(x)
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=0)
    assert float((turned - move_lines(x, everything(60), [(6.0, (1.0, -2.0))])).abs().max()) > 0.01
