"""`kascade bench speed`: the command; what it measures has tests of its own."""

from __future__ import annotations

import json

import pytest

from kascade.benchmarks.speed_rows import Row

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
