"""The lambda benchmark from beginning to end, stopped and continued."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kascade.benchmarks import lambda_schedules_results, lambda_schedules_run
from kascade.benchmarks.lambda_schedules_results import LambdaResults
from kascade.benchmarks.lambda_schedules_run import LambdaPlan, plan_lambda, run_lambda
from kascade.errors import ConfigError, KascadeError, OutputError
from tests.benchmarks.lambda_tiny import make_tiny, write_recipe

FILES = {
    "lambda.md",
    "scores.csv",
    "differences.csv",
    "iterations.csv",
    "noise.csv",
    "cascade.png",
    "lambdas.png",
    "meaning.png",
    "sweep-simulated.csv",
    "sweep-simulated.png",
    "runs",
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few small scans, and no curves of trainings."""
    make_tiny(monkeypatch, 1)
    monkeypatch.setattr("kascade.train.log.save_figure", lambda *_, **__: None)


def plan(tmp_path: Path, **options: object) -> LambdaPlan:
    return plan_lambda(schedules=["2.5"], recipe=write_recipe(tmp_path), **{"seeds": 2, **options})  # type: ignore[arg-type]


def numbers(results: LambdaResults) -> list[object]:
    return [(t.schedule, t.seed, t.validation_psnr, t.scores, t.gains) for t in results.trainings]


def test_a_run_is_complete_stopped_continued_and_repeated(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, what = tmp_path / "lam", plan(tmp_path)
    steps: list[str] = []
    told: list[str] = []

    class Stopped(Exception):  # noqa: N818
        """Ctrl-C."""

    def stop(text: str) -> None:
        if text == "training constant-2.5, seed 2 (4 of 4)":
            raise Stopped

    with pytest.raises(Stopped):
        run_lambda(what, folder, progress=stop)
    assert sorted(path.name for path in folder.iterdir()) == ["runs"]
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["constant-2.5-1", "learned-1", "learned-2"]

    results = run_lambda(what, folder, progress=steps.append, told=told.append)
    assert len(steps) == what.steps and {path.name for path in folder.iterdir()} == FILES
    assert sum("nothing is left to do" in line for line in told) == 3
    assert any(line.startswith("constant-2.5, seed 2: step 3: loss") for line in told)
    with open(folder / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["schedule"], r["seed"], r["accel"]) for r in rows] == [
        (schedule, seed, accel) for seed in "12" for schedule in ("learned", "constant-2.5") for accel in "46"
    ]
    assert results.trainings[0].minutes >= 0 and results.trainings[0].seconds_per_step > 0
    assert {g.iteration for g in results.gains} == {1, 2}

    with pytest.raises(OutputError, match=r"lambda\.md: exists already; use --force"):
        run_lambda(what, folder)
    # Trainings and what was measured of them are kept, though --force replaces tables and figures.
    monkeypatch.setattr(lambda_schedules_results, "score_probe", None)
    monkeypatch.setattr(lambda_schedules_run, "sense_examples", lambda noise: results.examples)
    again = run_lambda(what, folder, force=True)
    assert numbers(again) == numbers(results)


def test_trainings_of_another_recipe_are_refused_before_any_work(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, what = tmp_path / "lam", plan(tmp_path, seeds=1)

    def stop(text: str) -> None:
        if text.startswith("testing"):
            raise KascadeError("stopped")

    with pytest.raises(KascadeError, match="stopped"):
        run_lambda(what, folder, progress=stop)
    monkeypatch.setattr(lambda_schedules_run, "make_probes", None)
    with pytest.raises(ConfigError, match=r"learned-1: was trained by another recipe \(training\.steps differs\)"):
        run_lambda(plan(tmp_path, seeds=1, steps=9), folder)


def test_measurements_of_other_weights_or_probes_do_not_count(tiny: None, tmp_path: Path) -> None:
    file = tmp_path / "lambda-benchmark.json"
    assert lambda_schedules_results._read(file, {}) is None
    for text in ("{", '{"key": {}, "training": {"schedule": "tied"}}', '{"key": {"version": 0}, "training": {}}'):
        file.write_text(text)
        assert lambda_schedules_results._read(file, {}) is None


def test_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = plan(tmp_path)
    assert [s.name for s in what.schedules] == ["learned", "constant-2.5"] and what.seeds == (1, 2)
    assert "no data: --data or $KASCADE_DATA would name their folder" in what.notes
    assert "without the images of 't1w', which are not in the data folder" in what.notes
    (tmp_path / "kspace").mkdir()
    (tmp_path / "kspace/full.cfl").touch()
    monkeypatch.setattr(lambda_schedules_run, "measured_scan", lambda data: object())
    assert {path.name for path in plan(tmp_path, data=tmp_path).outputs(tmp_path)} > FILES - {"runs"}
    with pytest.raises(ConfigError, match="not a folder"):
        plan(tmp_path, data=tmp_path / "nothing")
    with pytest.raises(ConfigError, match="seeds 0"):
        plan(tmp_path, seeds=0)
    with pytest.raises(ConfigError, match="6 values, the cascade 2 iterations"):
        plan_lambda(schedules=["table1"], recipe=write_recipe(tmp_path))
