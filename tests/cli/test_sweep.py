"""`kascade sweep`."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kascade.cli.sweep import parse_range
from kascade.errors import ConfigError


def test_range_is_evenly_spaced_on_a_logarithmic_scale():
    assert parse_range("0.5:50:3") == pytest.approx([0.5, 5.0, 50.0])
    assert len(parse_range("0.5:50:12")) == 12


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6))
def test_values_come_back_in_order(values):
    assert parse_range(",".join(map(str, values))) == sorted(set(values))


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:3:4", "5:1:4", "0:1:3", "1:2:1", "-1,2", "inf", "nan"])
def test_nonsense_is_refused(text):
    with pytest.raises(ConfigError, match="FROM:TO:COUNT"):
        parse_range(text)


def test_two_accelerations_make_two_curves(kascade, brain, tmp_path):
    out = tmp_path / "sweep"
    run = kascade("sweep", brain, "--accel", 2, 3, "--lam", "0.5:20:3", "--acs", 16, "-o", out)
    assert run.code == 0, run.err
    with (out / "brain.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["accel"], row["slices"]) for row in rows] == [("2", "2")] * 3 + [("3", "2")] * 3
    assert float(rows[0]["true_acceleration"]) == pytest.approx(48 / 32)
    assert all(float(row["psnr"]) > 10 and 0 < float(row["ssim"]) <= 1 for row in rows)
    assert (out / "brain.png").stat().st_size > 10_000
    assert sorted(path.name for path in out.iterdir()) == ["brain.csv", "brain.png"]
    lines = [line.split() for line in run.out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in ("2", "3")] == ["2", "3"]


def test_it_refuses_to_overwrite(kascade, brain, tmp_path):
    (tmp_path / "brain.png").write_text("a figure of mine")
    run = kascade("sweep", brain, "--accel", 2, "--lam", "1,5", "--acs", 16, "-o", tmp_path)
    assert run.code == 1
    assert "brain.png: exists already" in run.err
    assert (tmp_path / "brain.png").read_text() == "a figure of mine"
    assert not (tmp_path / "brain.csv").exists()


def test_undersampled_data_are_refused(kascade, tmp_path):
    import torch

    from kascade.data import write_scan
    from tests.cli.conftest import small_scan

    mask = torch.ones(48)
    mask[1:12] = 0
    write_scan(small_scan("half").undersample(mask), tmp_path / "half.h5")
    run = kascade("sweep", tmp_path / "half.h5", "--accel", 2, "-o", tmp_path / "out")
    assert run.code == 2
    assert "fully sampled" in run.err
