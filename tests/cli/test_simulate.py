"""`kascade simulate`."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from kascade.data import load


@pytest.fixture
def volume(tmp_path):
    """NIfTI volume of a ball, 32 x 40 x 12."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (32, 40, 12)), indexing="ij")
    data = (100 * (x**2 + y**2 + z**2 < 0.8)).astype(np.float32)
    path = tmp_path / "ball.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


def test_a_volume(kascade, volume, tmp_path):
    run = kascade("simulate", volume, "-o", tmp_path / "sim.h5", "--coils", 5, "--snr", 30, "--slices", "4:7")
    assert run.code == 0, run.err
    scan = load(tmp_path / "sim.h5")
    assert scan.kspace.shape == (3, 5, 40, 32)
    assert scan.maps is None and scan.target(0) is not None
    assert scan.header.spacing_mm == (2, 2, 3)
    assert "3 slices, 5 coils, 40 rows x 32 columns" in run.err


def test_the_phantom_with_oversampling_and_true_maps(kascade, tmp_path):
    options = ("--matrix", "2x48x40", "--oversampling", 2, "--coils", 4, "--store-maps", "--slices", "1:2")
    run = kascade("simulate", "phantom", "-o", tmp_path / "head.h5", "--contrast", "t2", *options)
    assert run.code == 0, run.err
    scan = load(tmp_path / "head.h5")
    assert scan.kspace.shape == (1, 4, 96, 40)
    assert scan.without_oversampling().matrix == (48, 40)
    assert scan.maps is not None


def test_an_array_and_the_seed(kascade, tmp_path):
    np.save(tmp_path / "array.npy", np.random.default_rng(0).random((1, 24, 24), np.float32))
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        command = ("simulate", tmp_path / "array.npy", "-o", tmp_path / f"{name}.h5", "--seed", seed)
        assert kascade(*command).code == 0
    a, b, c = (load(tmp_path / f"{name}.h5").kspace[0] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_folder_holds_nothing_but_h5_afterwards(kascade, volume, tmp_path):
    (volume.parent / "bad.nii").write_bytes(b"no volume")
    out = tmp_path / "out"
    run = kascade("simulate", volume.parent, "-o", out, "--coils", 2, "--slices", "5:6")
    assert run.code == 1
    assert [path.name for path in out.iterdir()] == ["ball.h5"]
    assert "bad.nii" in run.err and "1 of 2 files failed" in run.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--slices", "5"), "expected A:B"),
        (("--slices", "5:50"), "which has 12"),
        (("--snr", "-1"), "positive SNR"),
        (("--orientation", "oblique"), "oblique"),
        (("--matrix", "256"), "slices x rows x columns"),
        (("--shots", "8"), "add --motion"),
    ],
)
def test_wrong_options_leave_nothing(kascade, volume, tmp_path, options, message):
    run = kascade("simulate", volume, "-o", tmp_path / "sim.h5", *options)
    assert run.code == 2
    assert message in run.err and run.err.count("\n") == 1
    assert not (tmp_path / "sim.h5").exists()


def test_damaged_arrays_are_refused(kascade, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    for name, message in (("bad.npy", "not a readable npy"), ("words.npy", "array of numbers")):
        run = kascade("simulate", tmp_path / name, "-o", tmp_path / "sim.h5")
        assert run.code == 2
        assert message in run.err
