from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kascade.data.degradation.files import degrade_file, nifti_files, variants
from kascade.data.nifti import read_volume
from kascade.errors import ConfigError, FileFormatError, OutputError
from tests.heads import head_array, write_head


def test_every_mixture_comes_in_every_severity_and_clean_once() -> None:
    names = [v.name for v in variants(["noise", "motion+noise", "clean"], ["mild", "severe"])]
    assert names == ["noise-mild", "noise-severe", "motion+noise-mild", "motion+noise-severe", "clean"]
    with pytest.raises(ConfigError):
        variants(["noise"], ["awful"])


def test_files_are_written_with_their_labels_and_again_the_same(tmp_path: Path) -> None:
    source = write_head(tmp_path / "a.nii.gz")
    wanted = variants(["motion+noise", "clean"], ["moderate"])
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        assert degrade_file(source, folder, wanted, seed=4) == []
    one, two = (tmp_path / name / "a_motion+noise-moderate.nii.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    tags = json.loads((tmp_path / "one/a_motion+noise-moderate.json").read_text())
    assert tags["labels"] == {"motion": 1, "low-resolution": 0, "noise": 1, "clean": 0}
    assert (tags["severity"], tags["seed"], tags["source"]) == ("moderate", 4, "a.nii.gz")
    before, after, clean = (read_volume(p).data for p in (source, one, tmp_path / "one/a_clean.nii.gz"))
    head = before > 0
    assert float((clean - before)[head].abs().max()) < 0.5
    assert 20 < float((after - before)[head].std()) < 300
    with pytest.raises(OutputError, match="exists"):
        degrade_file(source, tmp_path / "one", wanted)


def test_integers_negative_and_nan_voxels_are_degraded_as_floats(tmp_path: Path) -> None:
    array = head_array().astype(np.int16)
    array[0, 0, 0] = -5
    problems = degrade_file(write_head(tmp_path / "i.nii.gz", array), tmp_path, variants(["noise"], ["mild"]))
    assert problems == ["1 voxels are negative: taken for 0"]
    assert read_volume(tmp_path / "i_noise-mild.nii.gz").data.frac().abs().max() > 0
    broken = head_array()
    broken[20, 20, 5] = np.nan
    problems = degrade_file(write_head(tmp_path / "n.nii.gz", broken), tmp_path, variants(["noise"], ["mild"]))
    assert "NaN" in problems[0]


def test_a_folder_without_nifti_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FileFormatError, match="no NIfTI files"):
        nifti_files(tmp_path)
