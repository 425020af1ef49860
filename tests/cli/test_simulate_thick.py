"""`kascade simulate-thick`."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest


@pytest.fixture
def ramp(tmp_path):
    """NIfTI volume 6 x 7 x 21 whose gray value is the position along z in mm; oblique, stored as LAS."""
    affine = np.array([[-1.0, 0, 0, 5], [0, 0.8, -0.6, 1], [0, 0.6, 0.8, 2], [0, 0, 0, 1]]) @ np.diag([2, 2, 1.5, 1])
    data = np.broadcast_to(1.5 * np.arange(21, dtype=np.float32), (6, 7, 21))
    path = tmp_path / "ramp.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_slices_lie_where_their_centers_were(kascade, ramp, tmp_path, profile):
    out = tmp_path / "thick.nii.gz"
    run = kascade("simulate-thick", ramp, "-o", out, "--factor", 4, "--axis", "z", "--profile", profile)
    assert run.code == 0, run.err
    fine, thick = nibabel.as_closest_canonical(nibabel.load(ramp)), nibabel.load(out)
    assert thick.shape == (6, 7, 6)
    assert thick.header.get_zooms() == pytest.approx((2, 2, 6))
    for voxel in ([0, 0, 0], [5, 6, 5]):
        there = thick.affine @ [*voxel, 1]
        same = fine.affine @ [voxel[0], voxel[1], 4 * voxel[2], 1]
        np.testing.assert_allclose(there, same, atol=1e-5)
    np.testing.assert_allclose(thick.get_fdata()[2, 3, 2:4], [12, 18], rtol=1e-5)
    assert "6 x 7 x 6 voxels of 2 x 2 x 6 mm" in run.err


def test_along_another_axis(kascade, ramp, tmp_path):
    out = tmp_path / "thick.nii"
    assert kascade("simulate-thick", ramp, "-o", out, "--factor", 3, "--axis", "x").code == 0
    assert nibabel.load(out).shape == (2, 7, 21)


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--axis", "w"), "axis 'w'"), (("--factor", 30), "factor 30"), (("--profile", "sinc"), "gaussian, box, fermi")],
)
def test_nonsense_is_refused_and_nothing_written(kascade, ramp, tmp_path, options, told):
    run = kascade("simulate-thick", ramp, "-o", tmp_path / "thick.nii.gz", *options)
    assert run.code == 2 and told in run.err
    assert not (tmp_path / "thick.nii.gz").exists()


def test_an_existing_file_is_kept(kascade, ramp, tmp_path):
    out = tmp_path / "thick.nii.gz"
    out.write_bytes(b"mine")
    assert kascade("simulate-thick", ramp, "-o", out).code != 0
    assert out.read_bytes() == b"mine"
    assert kascade("simulate-thick", ramp, "-o", out, "--force").code == 0
