"""`kascade evaluate`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kascade.data import load, write_reconstruction
from kascade.physics import ifft
from kascade.physics.rss import rss
from tests.heads import head_array, write_head


@pytest.fixture
def pair(brain, tmp_path):
    """Folder with a reconstruction of a tenth too much, and one with its target."""
    out, targets = tmp_path / "out", tmp_path / "targets"
    out.mkdir()
    targets.mkdir()
    shutil.copy(brain, targets)
    write_reconstruction(out / "brain.h5", (1.1 * rss(ifft(y)) for y in load(brain).kspace))
    return out, targets


def test_json(kascade, pair):
    run = kascade("evaluate", *pair, "--json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert set(found) == {"volumes", "mean"}
    assert found["volumes"]["brain"]["nmse"] == pytest.approx(0.01, rel=1e-3)
    assert found["mean"] == found["volumes"]["brain"]


def test_table(kascade, pair):
    run = kascade("evaluate", *(folder / "brain.h5" for folder in pair))
    assert run.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in run.out.splitlines() if len(line.split()) == 4}
    assert rows["brain"][0] == "0.01000"
    assert rows["mean"] == rows["brain"]


def test_no_crop_compares_more(kascade, pair):
    out, targets = pair
    full = json.loads(kascade("evaluate", out, targets, "--no-crop", "--json").out)
    assert full["mean"]["psnr"] != json.loads(kascade("evaluate", out, targets, "--json").out)["mean"]["psnr"]


def test_a_missing_reconstruction_is_told_and_the_others_compared(kascade, pair, brain):
    out, targets = pair
    shutil.copy(brain, targets / "missing.h5")
    run = kascade("evaluate", out, targets, "--json")
    assert run.code == 1
    assert "missing.h5: no reconstruction" in run.err
    assert np.isfinite(json.loads(run.out)["mean"]["ssim"])


def test_what_is_wrong_with_an_image_that_is_scored_alone_is_told(kascade, tmp_path):
    volume = head_array()
    volume[5, 5, 5], volume[6, 6, 6] = np.nan, -1
    run = kascade("evaluate", "--no-reference", write_head(tmp_path / "a.nii.gz", volume))
    told = " ".join(run.err.split())
    assert run.code == 0 and "a.nii" in run.out and "1 voxels are negative" in told and "are NaN or Inf" in told
