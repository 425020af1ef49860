"""`kascade inspect`."""

from __future__ import annotations

import json

import pytest
import torch

from kascade import __version__
from kascade.data import Header, write_scan
from tests.cli.conftest import small_scan


def test_a_file(kascade, brain):
    run = kascade("inspect", brain)
    assert run.code == 0, run.err
    text = " ".join(run.out.split())
    assert "slices 2 " in text and "coils 4 " in text
    assert "56 rows (readout) x 48 columns (phase encoding)" in text
    assert "mask none: fully sampled" in text
    assert "no problems found" in text


def test_json_holds_mask_noise_header_and_problems(kascade, tmp_path):
    scan = small_scan("half")
    mask = torch.zeros(48)
    mask[::2] = 1
    mask[18:30] = 1
    header = Header(encoded_matrix=(56, 48, 1), recon_matrix=(56, 48, 1), protocol="T1", coils=5)
    scan = type(scan).from_arrays(torch.stack(list(scan.kspace)), header=header).undersample(mask)
    write_scan(scan, tmp_path / "half.h5")
    facts = json.loads(kascade("inspect", tmp_path / "half.h5", "--json").out)
    assert facts["sampling"]["mask"] == "stored"
    assert facts["sampling"]["true_acceleration"] == pytest.approx(48 / float(mask.sum()))
    assert facts["sampling"]["acs_columns"] == 13  # 18 to 30
    assert facts["header"]["protocol"] == "T1"
    assert facts["matrix"] == [56, 48]
    assert any("5 coils" in problem for problem in facts["problems"])


def test_noise_is_estimated_from_the_corners(kascade, tmp_path):
    write_scan(small_scan(noise=1.0), tmp_path / "noisy.h5")
    noise = json.loads(kascade("inspect", tmp_path / "noisy.h5", "--json").out)["noise"]
    assert noise["standard_deviation"] == pytest.approx(2**0.5, rel=0.1)
    assert noise["peak_snr"] < 5


def test_a_folder_gets_a_line_for_each_file(kascade, brain):
    write_scan(small_scan("other", slices=1), brain.with_name("other.h5"))
    brain.with_name("bad.h5").write_bytes(b"nothing")
    run = kascade("inspect", brain.parent)
    assert run.code == 1
    lines = [line.split() for line in run.out.splitlines()]
    assert ["brain.h5", "2", "4"] in [line[:3] for line in lines]
    assert ["other.h5", "1", "4"] in [line[:3] for line in lines]
    assert "bad.h5" in run.err and "1 of 3 files failed" in run.err


def test_environment(kascade):
    run = kascade("inspect", "--env", "--json")
    assert run.code == 0
    assert json.loads(run.out)["kascade"] == __version__
    assert json.loads(run.out)["torch"] == torch.__version__
    out = kascade("inspect", "--env").out
    assert "torch" in out and "CUDA kernels" in out and "use" in out


def test_nothing_named(kascade):
    run = kascade("inspect", "--json")
    assert run.code == 2
    assert "--env" in run.err
