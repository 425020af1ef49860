"""Estimated motion: found, nothing made up, bad shots detected, any x-step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kascade.data import simulate_head
from kascade.data.simulation.motion import moving_scan
from kascade.errors import ConfigError, ShapeError
from kascade.physics import Encoding, ShotEncoding, regularized_sense
from kascade.physics.motion import MotionEstimate, estimate_motion
from kascade.physics.noise import whiten, whitening_matrix

SIZE, SHOTS = 64, 6


def moving_head(
    motion: Tensor | str, seed: int = 0, order: str = "interleaved"
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whitened k-space, unit maps, shots and motion of one slice; made on a grid twice as fine."""
    still = simulate_head((1, SIZE, SIZE), coils=8, snr=30, seed=seed, slice_positions_mm=[20.0])
    scan = moving_scan(still, motion, SHOTS, order, seed, true_maps=True)
    assert scan.maps is not None and scan.noise_covariance is not None
    assert scan.shots is not None and scan.motion is not None
    W = whitening_matrix(scan.noise_covariance)
    maps = whiten(scan.maps[0], W)
    return whiten(scan.kspace[0], W), maps / torch.linalg.vector_norm(maps, dim=0), scan.shots, scan.motion


@pytest.fixture(scope="module")
def moved() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return moving_head("moderate")


@pytest.fixture(scope="module")
def found(moved: tuple[Tensor, Tensor, Tensor, Tensor]) -> MotionEstimate:
    return estimate_motion(*moved[:3])


def test_the_motion_is_found(moved: tuple[Tensor, Tensor, Tensor, Tensor], found: MotionEstimate) -> None:
    assert found.accepted and found.held_out[1] < 0.98 * found.held_out[0]
    error = (found.motion - moved[3]).abs()
    assert float(error.median()) < 0.05 and float(error.max()) < 0.25
    assert not bool(found.motion[found.rest].any()) and found.rest == int(moved[2][SIZE // 2])
    assert found.bad_shots == []


def test_the_cost_never_rises_within_a_level(found: MotionEstimate) -> None:
    for fraction in {step["fraction"] for step in found.history}:
        costs = [step["cost"] for step in found.history if step["fraction"] == fraction]
        assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_still_scan_stays_as_it_is(seed: int) -> None:
    y, maps, shots, _ = moving_head("still", seed)
    found = estimate_motion(y, maps, shots)
    assert not found.accepted and not bool(found.motion.any()) and bool((found.weights == 1).all())


def test_a_bad_shot_counts_less_and_spoils_nothing() -> None:
    y, maps, shots, motion = moving_head("moderate", seed=3)
    bad = (int(shots[SIZE // 2]) + 2) % SHOTS
    own = shots == bad
    y = y.clone()
    y[..., own] = y[..., own].flip(1) + 0.5 * y[..., own].roll(5, 1)
    found = estimate_motion(y, maps, shots)
    assert found.bad_shots == [bad] and float(found.weights[bad]) < 0.5
    others = torch.arange(SHOTS) != bad
    assert float((found.motion - motion)[others].abs().median()) < 0.1


def test_any_x_step_can_make_the_image(moved: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    calls = []

    def x_step(E: Encoding | ShotEncoding, y: Tensor) -> Tensor:
        calls.append(E)
        return regularized_sense(E, y, lam=3.0, tol=1e-3).image

    found = estimate_motion(*moved[:3], x_step=x_step)
    assert calls and found.accepted
    assert float((found.motion - moved[3]).abs().median()) < 0.05


def test_undersampled_columns_are_left_out(moved: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    y, maps, shots, motion = moved
    mask = torch.ones(SIZE)
    mask[torch.arange(SIZE) % 5 == 1] = 0
    found = estimate_motion(y * mask + 100 * (1 - mask), maps, shots, mask)
    assert float((found.motion - motion).abs().median()) < 0.1


def test_data_without_signal_have_no_motion() -> None:
    maps = torch.ones(2, 16, 16, dtype=torch.complex64) / 2**0.5
    found = estimate_motion(torch.zeros_like(maps), maps, [c % 4 for c in range(16)])
    assert not found.accepted and not bool(found.motion.any())


def test_wrong_arguments() -> None:
    maps = torch.ones(2, 16, 16, dtype=torch.complex64)
    with pytest.raises(ShapeError, match=r"shots \(8,\)"):
        estimate_motion(maps, maps, [0] * 8)
    with pytest.raises(ConfigError, match="1 shots"):
        estimate_motion(maps, maps, [0] * 16)
    with pytest.raises(ConfigError, match=r"without acquired columns: \[1\]"):
        estimate_motion(maps, maps, [0, 2] * 8)
    with pytest.raises(ConfigError, match="the mask is"):
        estimate_motion(maps, maps, [0, 1] * 8, torch.ones(16, 16))
    with pytest.raises(ConfigError, match="no shot has three columns or more"):
        estimate_motion(maps, maps, [c // 2 for c in range(16)])
