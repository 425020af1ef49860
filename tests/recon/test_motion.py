"""Methods that account for motion: stored, estimated, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kascade.data import Scan, simulate_head
from kascade.data.simulation.motion import moving_scan
from kascade.errors import ConfigError, ShapeError
from kascade.physics import Encoding, ShotEncoding
from kascade.recon import get_method
from kascade.recon.setup import Setup


def scan_of(severity: str, shots: int = 6) -> Scan:
    """One slice of a head, 64 x 64."""
    return moving_scan(simulate_head((1, 64, 64), seed=4, slice_positions_mm=[20.0]), severity, shots, seed=4)


@pytest.fixture(scope="module")
def moved() -> Scan:
    return scan_of("moderate")


def error(scan: Scan, method: str = "sense", **options: object) -> float:
    """Relative error of the image against the object at rest."""
    target = scan.target(0)
    assert target is not None
    return float((get_method(method, **options)(scan, 0).image.abs() - target).norm() / target.norm())


@pytest.mark.parametrize("method", ["sense", "wavelet", "tv"])
def test_known_motion_is_undone_by_every_method(moved: Scan, method: str) -> None:
    assert error(moved, method, motion="stored") < 0.5 * error(moved, method)


def test_estimated_motion_is_as_good_as_known_motion(moved: Scan) -> None:
    assert error(moved, motion="estimate") < 1.1 * error(moved, motion="stored")
    result = get_method("sense", motion="estimate")(moved, 0)
    told = result.info["motion"]
    assert told["source"] == "estimate" and told["units"] == "px,deg" and told["accepted"]
    assert len(told["curves"]) == 6 and told["curves"][told["rest"]] == [0, 0, 0]


def test_without_motion_every_way_gives_plain_sense() -> None:
    still = scan_of("still")
    plain = get_method("sense")(still, 0).image
    for how in ("stored", "estimate"):
        assert torch.equal(get_method("sense", motion=how)(still, 0).image, plain)


def test_the_problem_holds_the_motion_only_where_it_is_asked_for(moved: Scan) -> None:
    assert isinstance(Setup().problem(moved, 0).E, Encoding)
    E = Setup(motion="stored").problem(moved, 0).E
    assert isinstance(E, ShotEncoding) and moved.motion is not None and torch.equal(E.motion, moved.motion)


def test_anisotropic_pixels_turn_the_object_not_the_grid(moved: Scan) -> None:
    wide = simulate_head((1, 48, 64), seed=4, slice_positions_mm=[20.0], fov_mm=240.0)
    scan = moving_scan(wide, "moderate", 6, seed=4)
    E = Setup(motion="stored").problem(scan, 0).E
    assert isinstance(E, ShotEncoding) and E.spacing == pytest.approx((5.0, 3.75))
    assert error(scan, motion="stored") < 0.5 * error(scan)


def test_a_shot_with_little_weight_counts_little(moved: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    import kascade.recon.motion as room
    from kascade.physics.motion import MotionEstimate

    weights = torch.ones(6)
    weights[2] = 0.25
    motion = moved.motion
    assert motion is not None and moved.shots is not None
    answer = MotionEstimate(motion, weights, 2, True, (0.5, 0.2), torch.ones(6))
    monkeypatch.setattr(room, "estimate_motion", lambda *_: answer)
    with pytest.warns(UserWarning, match=r"shots 2 \(weight 0.25\)"):
        problem = Setup(motion="estimate").problem(moved, 0)
    plain = Setup(motion="stored").problem(moved, 0)
    own = moved.shots == 2
    torch.testing.assert_close(problem.y[..., own], 0.5 * plain.y[..., own])
    x = torch.ones(64, 64, dtype=torch.complex64)
    torch.testing.assert_close(problem.E(x)[..., own], 0.5 * plain.E(x)[..., own], rtol=1e-4, atol=1e-4)


def test_what_is_refused(moved: Scan) -> None:
    with pytest.raises(ConfigError, match="motion must be one of none, stored, estimate"):
        Setup(motion="guess")
    with pytest.raises(ConfigError, match="no shot information"):
        Setup(motion="estimate").problem(replace(moved, shots=None, motion=None), 0)
    with pytest.raises(ConfigError, match="no motion is stored"):
        Setup(motion="stored").problem(replace(moved, motion=None), 0)
    with pytest.raises(ConfigError, match="expected 3, two shifts"):
        Setup(motion="stored").problem(replace(moved, motion=torch.zeros(6, 6)), 0)
    with pytest.raises(ConfigError, match="columns 0, 6, 12"):
        assert moved.shots is not None
        shots = torch.where(moved.shots == 0, -1, moved.shots)
        Setup(motion="stored").problem(replace(moved, shots=shots), 0)
    with pytest.raises(ConfigError, match="zero-filled"):
        get_method("zero-filled", motion="stored")
    with pytest.raises(ConfigError, match="map sets"):
        maps = torch.zeros(1, 2, 8, 64, 64, dtype=torch.complex64)
        Setup(motion="estimate").problem(moved.with_maps(maps), 0)
    with pytest.raises(ConfigError, match="varies along rows"):
        mask = torch.ones(64, 64)
        mask[3, 4] = 0
        Setup(motion="estimate").problem(moved.undersample(mask), 0)


def test_wrong_number_of_shots(moved: Scan) -> None:
    with pytest.raises(ShapeError, match="motion has 5 rows"):
        assert moved.motion is not None
        replace(moved, motion=moved.motion[:5])
    with pytest.raises(ShapeError, match="motion has 7 rows"):
        replace(moved, motion=torch.zeros(7, 3))


def test_maps_of_moved_data_are_warned_of(moved: Scan) -> None:
    with pytest.warns(UserWarning, match="maps were calibrated from data in which the head moved"):
        Setup(motion="stored").problem(replace(moved, maps=None), 0)


def test_curves_of_sequential_shots_are_warned_of(moved: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    import kascade.recon.motion as room
    from kascade.physics.motion import MotionEstimate

    assert moved.motion is not None and moved.shots is not None
    answer = MotionEstimate(moved.motion, torch.ones(6), 2, True, (0.5, 0.2), torch.ones(6))
    monkeypatch.setattr(room, "estimate_motion", lambda *_: answer)
    sequential = replace(moved, shots=moved.shots.sort().values)
    with pytest.warns(UserWarning, match="one block of columns"):
        Setup(motion="estimate").problem(sequential, 0)
    Setup(motion="estimate").problem(moved, 0)  # interleaved: a warning would be an error
