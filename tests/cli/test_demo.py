"""`kascade demo`: the command; what it makes has tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kascade.benchmarks.demo import Demo, DemoRow


@pytest.fixture
def made(monkeypatch):
    """Folders in which the demonstration was asked for; it makes nothing."""
    folders = []

    def run_demo(folder, force, progress):
        folders.append((folder, force))
        progress("one step")
        rows = (DemoRow("sense", 1.25, 0.02, 27.0, 0.5), DemoRow("tv", 2.5, 0.01, 33.456, 0.6789))
        return Demo(rows, folder / "scan/head.h5", folder / "undersampled/head.h5", folder / "demo.png", 3.1)

    monkeypatch.setattr("kascade.benchmarks.demo.run_demo", run_demo)
    return folders


def test_table_and_picture(kascade, made):
    run = kascade("demo")
    assert run.code == 0
    assert made == [(Path("kascade-demo"), False)]
    lines = [line.split() for line in run.out.splitlines()]
    assert ["tv", "2.5", "s", "0.0100", "33.46", "dB", "0.6789"] in lines
    assert "kascade-demo/demo.png" in run.out
    assert "kascade recon kascade-demo/undersampled/head.h5" in run.err


def test_folder_and_force(kascade, made, tmp_path):
    run = kascade("demo", "-o", tmp_path, "--force", "--quiet")
    assert made == [(tmp_path, True)]
    assert run.err == ""
