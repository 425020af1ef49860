from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kascade.data.nifti import read_volume
from kascade.errors import ConfigError, FileFormatError, OutputError
from kascade.recon.restoration.restore import explanation_path, restore_file, restore_slices, restore_volume
from tests.heads import AFFINE, head_array, write_head
from tests.recon.restoration.conftest import save_small


class Darker(nn.Module):
    """Half as bright, whatever the scale, and a record of what it saw."""

    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return (x + 1) / 2 - 1


@pytest.fixture
def cag(tmp_path: Path) -> str:
    return str(save_small(tmp_path / "cag.safetensors"))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_each_slice_is_seen_between_its_neighbors_and_put_back(tmp_path: Path, order: tuple[int, ...]) -> None:
    array = head_array().transpose(order)
    path = write_head(tmp_path / "a.nii.gz", np.ascontiguousarray(array), AFFINE[:, [*order, 3]])
    volume = read_volume(path)
    network = Darker()
    restored = restore_volume(volume, network)
    torch.testing.assert_close(restored.data, volume.data / 2, atol=0.1, rtol=1e-4)
    assert restored.explanation is None and restored.plane == "axial"
    assert len(network.seen) == volume.data.shape[2]
    assert torch.equal(network.seen[3][0, 2], network.seen[4][0, 1])
    assert torch.equal(network.seen[0][0, 0], network.seen[0][0, 1])
    assert all(n % 16 == 0 for n in network.seen[0].shape[-2:])


def test_the_scale_of_the_volume_does_not_matter(tmp_path: Path) -> None:
    volume = read_volume(write_head(tmp_path / "a.nii.gz"))
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 3, padding=1)
    one = restore_volume(volume, network).data
    brighter = read_volume(write_head(tmp_path / "b.nii.gz", 7 * head_array()))
    torch.testing.assert_close(7 * one, restore_volume(brighter, network).data, rtol=1e-3, atol=1e-1)


def test_geometry_and_type_are_kept_and_the_explanation_written(tmp_path: Path, cag: str) -> None:
    for dtype in (np.uint16, np.float32):
        source = write_head(tmp_path / "a.nii.gz", head_array().astype(dtype))
        restored, problems = restore_file(source, tmp_path / "b.nii.gz", cag, explain=True, force=True)
        assert problems == []
        old, new, seen = (nib.load(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz", "b_cag.nii.gz"))
        assert new.get_data_dtype() == dtype and seen.get_data_dtype() == np.float32
        for image in (new, seen):
            assert image.shape == old.shape
            np.testing.assert_array_equal(image.affine, old.affine)
        assert not np.asanyarray(new.dataobj)[np.asanyarray(old.dataobj) == 0].any()
        assert 0 < seen.get_fdata().max() <= 1
        assert set(restored.degradations) == {"motion", "low-resolution", "noise", "clean"}
    assert explanation_path("x/clean.nii") == Path("x/clean_cag.nii")


def test_any_size_is_padded_for_the_network() -> None:
    image, explanation, logits = restore_slices(Darker(), torch.randn(1, 3, 21, 5))
    assert image.shape == (1, 3, 21, 5) and explanation is None and logits is None


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (5.0, 1.0, 1.0)])
def test_thick_slices_are_restored_in_their_own_plane(tmp_path: Path, cag: str, spacing: tuple[float, ...]) -> None:
    source = write_head(tmp_path / "a.nii.gz", affine=np.diag([*spacing, 1.0]))
    restored, problems = restore_file(source, tmp_path / "b.nii.gz", cag)
    assert restored.plane == ("axial" if spacing[2] > 1 else "sagittal") and problems == []


def test_pixels_of_another_size_than_the_model_is_made_for_are_told(tmp_path: Path, cag: str) -> None:
    source = write_head(tmp_path / "a.nii.gz", affine=np.diag([0.5, 2.0, 2.0, 1.0]))
    _, problems = restore_file(source, tmp_path / "b.nii.gz", cag)
    assert problems == ["model cag is made for spacing_mm 1 to 3, not 0.5"]


def test_one_slice_no_affine_nan_and_negative_voxels_are_handled(tmp_path: Path, cag: str) -> None:
    flat = head_array((40, 48, 5))[:, :, 2:3]
    for name, array in (("flat", flat), ("flat2d", flat[:, :, 0])):
        _, problems = restore_file(write_head(tmp_path / f"{name}.nii.gz", array), tmp_path / f"{name}_r.nii.gz", cag)
        assert problems == [] and nib.load(tmp_path / f"{name}_r.nii.gz").shape == array.shape
    lost = write_head(tmp_path / "lost.nii.gz", affine=None)
    _, problems = restore_file(lost, tmp_path / "lost_r.nii.gz", cag)
    assert "no affine" in problems[0]
    broken = head_array()
    broken[20, 20, 3], broken[20, 21, 3] = np.nan, -3
    _, problems = restore_file(write_head(tmp_path / "nan.nii.gz", broken), tmp_path / "nan_r.nii.gz", cag)
    assert "1 of 23040 voxels are NaN" in problems[0] and "1 voxels are negative" in problems[1]
    assert np.isfinite(nib.load(tmp_path / "nan_r.nii.gz").get_fdata()).all()
    empty = write_head(tmp_path / "zero.nii.gz", np.zeros((8, 8, 3), np.float32))
    _, problems = restore_file(empty, tmp_path / "zero_r.nii.gz", cag)
    assert problems == ["every voxel is 0"] and not nib.load(tmp_path / "zero_r.nii.gz").get_fdata().any()


def test_what_cannot_be_restored_is_refused_before_any_work(tmp_path: Path, cag: str) -> None:
    series = write_head(tmp_path / "bold.nii.gz", np.ones((8, 8, 4, 3), np.float32))
    with pytest.raises(FileFormatError, match="not 3-D"):
        restore_file(series, tmp_path / "b.nii.gz", cag)
    dark = write_head(tmp_path / "dark.nii.gz", np.full((16, 16, 4), -1, np.float32))
    with pytest.raises(FileFormatError, match="no voxel is above 0"):
        restore_file(dark, tmp_path / "b.nii.gz", cag)
    source = write_head(tmp_path / "a.nii.gz")
    classifier = save_small(tmp_path / "c.safetensors", "classifier")
    with pytest.raises(ConfigError, match="restores no images"):
        restore_file(source, tmp_path / "b.nii.gz", str(classifier))
    plain = save_small(tmp_path / "r.safetensors", "restormer")
    with pytest.raises(ConfigError, match="has no explanation"):
        restore_file(source, tmp_path / "b.nii.gz", str(plain), explain=True)
    with pytest.raises(ConfigError, match="no model 'absent'"):
        restore_file(source, tmp_path / "b.nii.gz", "absent")
    (tmp_path / "b_cag.nii.gz").write_bytes(b"")
    with pytest.raises(OutputError, match="b_cag"):
        restore_file(source, tmp_path / "b.nii.gz", cag, explain=True)
    assert not (tmp_path / "b.nii.gz").exists()
