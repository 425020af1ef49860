"""`kascade degrade`."""

from __future__ import annotations

import json

from tests.heads import write_head


def test_a_folder_is_degraded_in_every_mixture_and_severity(kascade, tmp_path):
    source = tmp_path / "t1w"
    source.mkdir()
    for name in ("a", "b"):
        write_head(source / f"{name}.nii.gz")
    arguments = ("degrade", source, "-o", tmp_path / "out", "--sources", "motion,noise", "--severity", "mild,severe")
    run = kascade(*arguments)
    assert run.code == 0, run.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    kinds = [f"{source}-{severity}" for source in ("motion", "noise") for severity in ("mild", "severe")]
    assert names == sorted(f"{n}_{kind}{end}" for n in "ab" for kind in kinds for end in (".json", ".nii.gz"))
    tags = json.loads((tmp_path / "out" / "a_motion-mild.json").read_text())
    assert tags["labels"]["motion"] == 1 and "8 degraded volumes" in run.err
    again = kascade(*arguments)
    assert again.code == 1 and "exists" in again.err
    assert kascade(*arguments, "--force").code == 0


def test_wrong_names_and_files_are_told(kascade, tmp_path):
    source = write_head(tmp_path / "a.nii.gz")
    wrong = kascade("degrade", source, "-o", tmp_path / "out", "--sources", "blur")
    assert wrong.code == 2 and "expected clean, or some of motion" in wrong.err
    spaced = kascade(
        "degrade", source, "-o", tmp_path / "s", "--sources", "motion, noise", "--severity", "mild, severe"
    )
    assert spaced.code == 0 and (tmp_path / "s" / "a_motion-severe.nii.gz").exists()
    assert kascade("degrade", tmp_path / "absent.nii.gz", "-o", tmp_path / "out").code == 2
    (tmp_path / "bad.nii.gz").write_bytes(b"no NIfTI")
    run = kascade("degrade", tmp_path, "-o", tmp_path / "out", "--sources", "noise", "--severity", "mild")
    assert run.code == 1 and "bad.nii.gz" in run.err and (tmp_path / "out" / "a_noise-mild.nii.gz").exists()
