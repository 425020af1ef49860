"""The demonstration, on a small head."""

from __future__ import annotations

import pytest

from kascade.benchmarks.demo import run_demo, steps
from kascade.data import load
from kascade.errors import OutputError
from kascade.recon.models import ready_methods


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    told: list[str] = []
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(folder, progress=told.append, shape=(1, 96, 96), coils=6), told, folder


def test_every_method_is_there_and_better_than_zero_filling(demo):
    rows = {row.method: row for row in demo[0].rows}
    assert list(rows) == ready_methods()
    worst = rows.pop("zero-filled")
    assert all(row.psnr > worst.psnr and row.nmse < worst.nmse for row in rows.values())


def test_progress_is_told_as_often_as_announced(demo):
    assert len(demo[1]) == steps()


def test_files(demo):
    made, _, folder = demo
    full, undersampled = load(made.scan), load(made.undersampled)
    assert full.maps is None and full.mask is None and full.target(0) is not None
    assert undersampled.target(0) is None
    assert float(undersampled.mask.mean()) == pytest.approx(1 / made.true_acceleration)
    assert made.picture.read_bytes().startswith(b"\x89PNG")
    assert (folder / "wavelet" / "head.json").exists()


def test_a_second_run_does_not_overwrite(demo):
    with pytest.raises(OutputError, match="exists already"):
        run_demo(demo[2], shape=(1, 96, 96), coils=6)
