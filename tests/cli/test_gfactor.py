"""`kascade gfactor`."""

from __future__ import annotations

import json


def test_maps_picture_and_numbers(kascade, brain, tmp_path):
    out = tmp_path / "g"
    run = kascade("gfactor", brain, "--accel", 2, "--acs", 16, "-o", out, "--lam", 3, "--replicas", 8, "--slice", 0)
    assert run.code == 0, run.err
    assert sorted(path.name for path in out.iterdir()) == ["brain.h5", "brain.json", "brain.png"]
    facts = json.loads((out / "brain.json").read_text())
    assert (facts["lam"], facts["accel"], facts["slice"]) == (3, 2, 0)
    assert "at most λ = 3" in run.out
    assert f"{facts['gfactor']['median']:.3g}" in run.out


def test_a_slice_that_is_not_there(kascade, brain, tmp_path):
    run = kascade("gfactor", brain, "--accel", 2, "-o", tmp_path / "g", "--slice", 9)
    assert run.code == 2
    assert "there is no slice 9" in run.err
