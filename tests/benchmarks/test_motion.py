"""The motion benchmark: small cases are measured, made-up ones reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kascade.benchmarks.motion import MotionPlan, MotionRow, plan_motion, run_motion
from kascade.benchmarks.motion_cases import SHOTS, Case, simulated_cases, still_cases
from kascade.benchmarks.motion_report import motion_csv, motion_figure_of, motion_markdown, write_motion
from kascade.errors import ConfigError, OutputError


@pytest.fixture(scope="module")
def rows() -> list[MotionRow]:
    """Motion that is known, motion that is found, and none; 64 x 64."""
    known = next(case for case in simulated_cases(64, 1, 1) if case.severity == "moderate")
    estimated = next(case for case in simulated_cases(64, 1, 1) if case.group == "estimated")
    return run_motion(MotionPlan([known, estimated, *still_cases(64, 1)]))


def test_known_motion_is_undone_and_nothing_is_estimated(rows: list[MotionRow]) -> None:
    known = rows[0]
    assert known.ignored + 10 < known.known < known.at_rest
    assert np.isnan(known.estimated) and np.isnan(known.error_px) and "estimated" not in known.images


def test_estimated_motion_comes_close(rows: list[MotionRow]) -> None:
    found = rows[1]
    assert found.accepted and found.error_px < 0.1 and found.error_px <= found.worst_px
    assert found.estimated > found.ignored + 10 and found.cpu_seconds > 0


def test_a_head_at_rest_is_not_touched(rows: list[MotionRow]) -> None:
    still = rows[2]
    assert not still.accepted and still.change == 0 and still.estimated == still.ignored


def test_tables_and_figure(rows: list[MotionRow]) -> None:
    text = motion_markdown(rows)
    assert "### Known motion" in text and "### Heads at rest" in text and "measured slice" not in text
    assert f"{rows[1].error_px:.3f}" in text
    assert len(motion_csv(rows).splitlines()) == 1 + len(rows)
    several = motion_markdown([rows[1], replace(rows[1], error_px=1.0)])
    assert f"| {np.median([1.0, rows[1].error_px]):.3f} |" in several
    assert motion_figure_of(rows).axes
    with pytest.raises(ConfigError, match="no case with estimated motion"):
        motion_figure_of(rows[:1])


def test_cases_cover_the_severities_the_orders_and_the_numbers_of_shots() -> None:
    cases = simulated_cases(64, 4, 2)
    assert len({(case.severity, case.order) for case in cases if case.group == "known"}) == 6
    assert [case.shots for case in cases if case.group == "estimated"] == [*SHOTS, SHOTS[0]]
    assert len({case.name for case in cases}) == len(cases)


def test_a_plan_tells_what_is_missing_and_refuses_methods_that_know_no_motion(tmp_path) -> None:
    assert "kspace/full.cfl" in plan_motion(tmp_path, 1, 1).notes[0]
    with pytest.raises(ConfigError, match="zero-filled"):
        plan_motion(None, 1, 1, method="zero-filled")


def test_the_measured_slice(real_data) -> None:
    cases = [case for case in plan_motion(real_data, 1, 1).cases if case.group == "measured"]
    assert cases
    pair = cases[0].make()
    assert pair.moved.motion is not None and pair.moved.motion.any() and not pair.still.motion.any()
    noise = pair.moved.kspace[0][:, :10, :10]  # the corner: the slice's own noise, whitened to unit variance
    assert 0.9 < float(noise.abs().square().mean()) < 1.3


def test_files_appear_and_are_not_overwritten(rows, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("kascade.benchmarks.motion_report.run_motion", lambda *_: rows)
    plan = MotionPlan([Case("a", "known", "mild", "interleaved", 4, 0, lambda: None)])
    write_motion(plan, tmp_path / "m")
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["motion.csv", "motion.md", "motion.png"]
    with pytest.raises(OutputError):
        write_motion(plan, tmp_path / "m")
