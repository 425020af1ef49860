"""Scans of moving heads, from simulation to image, on the command line."""

from __future__ import annotations

import json

import h5py

from kascade.data import load


def simulate(kascade, path, *more):
    command = ("simulate", "phantom", "-o", path, "--matrix", "1x64x64", "--shots", 6, "--motion", "moderate")
    run = kascade(*command, *more)
    assert run.code == 0, run.err
    return path


def test_simulated_moved_reconstructed(kascade, tmp_path):
    path = simulate(kascade, tmp_path / "moved.h5", "--seed", 1)
    scan = load(path)
    assert scan.shots is not None and scan.motion.shape == (6, 3) and scan.maps is not None
    assert "stored, up to 2.5 px and 2.5 degrees" in kascade("inspect", path).out
    run = kascade("recon", path, "-o", tmp_path / "out", "--method", "sense", "--motion", "estimate")
    assert run.code == 0, run.err
    assert "angle [deg]" in run.out
    assert (tmp_path / "out" / "moved-motion.png").stat().st_size > 0
    told = json.loads((tmp_path / "out" / "moved.json").read_text())["slices"][0]["motion"]
    assert told["accepted"] and len(told["curves"]) == 6


def test_motion_none_is_the_default_and_writes_no_curves(kascade, tmp_path):
    path = simulate(kascade, tmp_path / "moved.h5")
    assert kascade("recon", path, "-o", tmp_path / "a", "-m", "sense").code == 0
    assert kascade("recon", path, "-o", tmp_path / "b", "-m", "sense", "--motion", "none").code == 0
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == ["moved.h5", "moved.json", "moved.png"]
    with h5py.File(tmp_path / "a" / "moved.h5") as a, h5py.File(tmp_path / "b" / "moved.h5") as b:
        assert (a["reconstruction"][:] == b["reconstruction"][:]).all()


def test_bad_files_are_refused_in_one_line(kascade, tmp_path):
    path = simulate(kascade, tmp_path / "moved.h5")
    for damage, message in (
        (lambda file: file["motion"].attrs.update(units="mm,rad"), "units='px,deg'"),
        (lambda file: file["motion"].attrs.update(units=["px", "deg"]), "units='px,deg'"),
        (lambda file: file.__delitem__("shot"), "no shot information"),
        (lambda file: file.__setitem__("shot", [c % 4 for c in range(64)]), "motion has 6 rows"),
    ):
        with h5py.File(path, "a") as file:
            damage(file)
        run = kascade("recon", path, "-o", tmp_path / "out", "-m", "sense", "--motion", "stored")
        assert run.code == 2 and message in " ".join(run.err.split()), run.err
        with h5py.File(path, "a") as file:
            file["motion"].attrs["units"] = "px,deg"


def test_wrong_options(kascade, tmp_path):
    run = kascade("simulate", "phantom", "-o", tmp_path / "a.h5", "--motion", "wild", "--matrix", "1x32x32")
    assert run.code == 2 and "still, mild, moderate, severe" in " ".join(run.err.split())
    path = simulate(kascade, tmp_path / "moved.h5")
    run = kascade("recon", path, "-o", tmp_path / "out", "--motion", "guess")
    assert run.code == 2 and "none, stored, estimate" in " ".join(run.err.split())
