"""`kascade bench`: the commands; what they measure has tests of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kascade.benchmarks.lambda_schedules_run import LambdaPlan
from kascade.benchmarks.quality import CaseResult, QualityRow
from kascade.benchmarks.quality_cases import Case
from kascade.benchmarks.quality_run import QualityPlan
from kascade.benchmarks.speed_rows import Row
from tests.benchmarks.lambda_tiny import made_up

ROWS = [
    Row("sense", "kascade", version="1", median_s=0.1, minimum_s=0.1, calls=2, ratio=1.0),
    Row("sense", "bart", missing="not installed"),
]


@pytest.fixture
def measured(monkeypatch):
    """Arguments with which the benchmark was called; it measures nothing."""
    calls = []

    def run(*arguments, **options):
        calls.append((*arguments[:-1], options))
        return ROWS

    monkeypatch.setattr("kascade.benchmarks.speed.run", run)
    return calls


def test_options_reach_the_benchmark(kascade, measured):
    command = ("--case", "sense", "--case", "espirit", "--size", "4x32x24", "--repeats", 2, "--peer", "bart")
    run = kascade("bench", "speed", *command, "--threads", 1)
    assert run.code == 0, run.err
    assert measured == [(["sense", "espirit"], 4, 32, 24, 2, "cpu", {"peers": ["bart"], "threads": 1})]


def test_table_names_the_machine_and_what_is_missing(kascade, measured):
    run = kascade("bench", "speed")
    assert "15x640x368 on " in run.out and " cores" in run.out
    assert "SENSE, 10 CG iterations" in run.out
    assert "not installed" in run.out


def test_json(kascade, measured):
    found = json.loads(kascade("bench", "speed", "--json").out)
    assert found["rows"][0]["median_s"] == 0.1
    assert "cores" in found["machine"]


def test_wrong_options(kascade):
    assert "coils x rows x columns" in kascade("bench", "speed", "--size", "15").err
    unknown = kascade("bench", "speed", "--case", "nonsense")
    assert unknown.code == 2
    assert "nonsense" in unknown.err


def test_help_teaches(kascade):
    assert "kascade bench speed" in kascade("bench", "--help").out
    assert "kascade bench speed --case sense" in kascade("bench", "speed", "--help").out


@pytest.fixture
def compared(monkeypatch):
    """Arguments with which the quality benchmark was called; it compares nothing."""
    calls = []
    row = QualityRow("phantom-r4", "tiny", "", 30.0, 0.9, 0.1, 1.0, 1)
    case = Case("phantom-r4", "Head phantom", "simulated", list)

    def plan(*arguments):
        calls.append(arguments)
        return QualityPlan([case], {"tiny": None}, ("without BART",))

    def run(plan, folder, force, progress):
        calls.append((folder, force))
        progress("phantom-r4: tiny")
        return [CaseResult(case, (row,), [None], {}, ("phantom-r4: TV: out of order",))]

    monkeypatch.setattr("kascade.benchmarks.quality_run.plan_quality", plan)
    monkeypatch.setattr("kascade.benchmarks.quality_run.run_quality", run)
    monkeypatch.delenv("KASCADE_DATA", raising=False)
    return calls


def test_quality_options_reach_the_benchmark_and_the_table_is_printed(kascade, compared, tmp_path):
    options = ("--data", "d", "--subject", "a.nii", "--subject", "b.nii", "--model", "m", "--case", "phantom-r4")
    run = kascade("bench", "quality", "-o", tmp_path, *options, "--force")
    assert run.code == 0, run.err
    assert compared == [(Path("d"), [Path("a.nii"), Path("b.nii")], ["m"], ["phantom-r4"]), (tmp_path, True)]
    assert ["phantom-r4", "30.00", "/", "0.900", "-"] in [line.split() for line in run.out.splitlines()]
    assert "without BART" in run.err and "warning: phantom-r4: TV: out of order" in run.err


def test_quality_takes_the_data_folder_of_the_environment(kascade, compared, tmp_path, monkeypatch):
    kascade("bench", "quality", "-o", tmp_path)
    monkeypatch.setenv("KASCADE_DATA", "measured")
    kascade("bench", "quality", "-o", tmp_path)
    assert [call[0] for call in compared[::2]] == [None, Path("measured")]


def test_quality_refuses_an_unknown_case(kascade, tmp_path, monkeypatch):
    monkeypatch.delenv("KASCADE_DATA", raising=False)
    run = kascade("bench", "quality", "-o", tmp_path / "q", "--case", "t1-r4")
    assert run.code == 2
    assert "case 't1-r4' is unknown or its data are not there" in run.err
    assert not (tmp_path / "q").exists()


@pytest.fixture
def trained(monkeypatch):
    """Arguments with which the lambda benchmark was called; it trains nothing."""
    calls = []
    results = made_up(seeds=2)

    def plan(*arguments):
        calls.append(arguments)
        return LambdaPlan(results.recipe, results.schedules, (1, 2), None, ("no data",))

    def run(plan, folder, force, progress, told):
        calls.append((folder, force))
        progress("training learned, seed 1")
        told("learned, seed 1: step 3")
        return results

    monkeypatch.setattr("kascade.benchmarks.lambda_schedules_run.plan_lambda", plan)
    monkeypatch.setattr("kascade.benchmarks.lambda_schedules_run.run_lambda", run)
    monkeypatch.delenv("KASCADE_DATA", raising=False)
    return calls


def test_lambda_options_reach_the_benchmark_and_the_tables_are_printed(kascade, trained, tmp_path):
    options = (
        "--data",
        "d",
        "--schedule",
        "tied",
        "--schedule",
        "2.5",
        "--seeds",
        2,
        "--steps",
        9,
        "--recipe",
        "r.yaml",
    )
    run = kascade("bench", "lambda", "-o", tmp_path, *options, "--force")
    assert run.code == 0, run.err
    assert trained == [(Path("d"), ["tied", "2.5"], 2, 9, Path("r.yaml")), (tmp_path, True)]
    lines = [line.split() for line in run.out.splitlines()]
    assert ["learned", "31.00"] in [line[:2] for line in lines]
    assert any(line[:1] == ["tied"] and line[1].startswith("+0.5") for line in lines)
    assert "no data" in run.err and "learned, seed 1: step 3" in run.err and "lambda.md" in run.err


def test_lambda_by_default_compares_everything(kascade, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("KASCADE_DATA", "measured")
    assert kascade("bench", "lambda", "-o", tmp_path, "--quiet").err == ""
    assert trained == [(Path("measured"), [], 3, None, None), (tmp_path, False)]


def test_lambda_refuses_what_it_does_not_know(kascade, tmp_path, monkeypatch):
    monkeypatch.delenv("KASCADE_DATA", raising=False)
    for options, complaint in (
        (("--schedule", "magic"), "schedule 'magic': expected learned, tied"),
        (("--recipe", tmp_path / "none.yaml"), "none.yaml: cannot be read"),
        (("--data", tmp_path / "none"), "none: not a folder"),
    ):
        run = kascade("bench", "lambda", "-o", tmp_path / "lam", *options)
        assert run.code == 2 and complaint in run.err
    assert not (tmp_path / "lam").exists()
