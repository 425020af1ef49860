"""Restored NIfTI volumes against true ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kascade.errors import FileFormatError, ShapeError
from kascade.recon.evaluate_files import evaluate_files
from kascade.recon.evaluate_nifti import compare_volumes
from tests.heads import AFFINE, head_array, write_head

TRUTH = head_array()
NOISY = TRUTH + 20 * np.random.default_rng(1).standard_normal(TRUTH.shape).astype(np.float32)


def test_scores_of_a_volume_by_hand(tmp_path: Path) -> None:
    pair = write_head(tmp_path / "iso.nii.gz", NOISY), write_head(tmp_path / "sub.nii.gz", TRUTH)
    scores, remarks = compare_volumes(*pair)
    error = float(np.square(NOISY - TRUTH, dtype=np.float64).mean())
    assert scores["psnr"] == pytest.approx(10 * np.log10(float(TRUTH.max()) ** 2 / error), abs=1e-3)
    assert scores["nmse"] == pytest.approx(error / float(np.square(TRUTH, dtype=np.float64).mean()), rel=1e-3)
    assert 0.5 < scores["ssim"] < 0.999 and remarks == []
    assert evaluate_files(*pair)["volumes"] == {"sub": scores}


def test_the_order_of_axes_does_not_matter(tmp_path: Path) -> None:
    turned = AFFINE.copy()
    turned[:, 0], turned[:, 3] = -AFFINE[:, 0], AFFINE[:, 3] + (len(TRUTH) - 1) * AFFINE[:, 0]
    truth = write_head(tmp_path / "sub.nii.gz", TRUTH)
    scores, _ = compare_volumes(write_head(tmp_path / "iso.nii", NOISY[::-1], turned), truth)
    assert scores == compare_volumes(write_head(tmp_path / "same.nii", NOISY), truth)[0]


def test_folders_belong_together_by_name(tmp_path: Path) -> None:
    for folder in ("out", "truth"):
        (tmp_path / folder).mkdir()
    for name in ("a.nii.gz", "b.nii"):
        write_head(tmp_path / "out" / name, NOISY)
        write_head(tmp_path / "truth" / name.replace(".nii.gz", ".nii"), TRUTH)
    bad = np.where(np.arange(TRUTH.size).reshape(TRUTH.shape) == 5, np.nan, NOISY)
    write_head(tmp_path / "out" / "a.nii.gz", bad)
    found = evaluate_files(tmp_path / "out", tmp_path / "truth")
    assert list(found["volumes"]) == ["a", "b"] and "1 of 23040 voxels are NaN" in found["notes"][0]
    write_head(tmp_path / "out" / "a.nii", NOISY)
    with pytest.raises(FileFormatError, match="have one name"):
        evaluate_files(tmp_path / "out", tmp_path / "truth")


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    truth = write_head(tmp_path / "sub.nii.gz", TRUTH)
    moved = AFFINE.copy()
    moved[2, 3] += 1.0
    with pytest.raises(FileFormatError, match=r"moved\.nii: .*elsewhere by its affine"):
        compare_volumes(write_head(tmp_path / "moved.nii", NOISY, moved), truth)
    with pytest.raises(FileFormatError, match="40 x 48 x 6 voxels, not on the grid"):
        compare_volumes(write_head(tmp_path / "thick.nii", NOISY[:, :, ::2]), truth)
    with pytest.raises(FileFormatError, match=r"sub\.h5: .* is a NIfTI volume"):
        compare_volumes(truth, tmp_path / "sub.h5")
    thin = write_head(tmp_path / "thin.nii", TRUTH[:, :, :5])
    with pytest.raises(ShapeError, match="each 7 or more"):
        compare_volumes(thin, thin)
    compare_volumes(write_head(tmp_path / "nowhere.nii", NOISY, None), truth)  # a file that does not say where it lies
