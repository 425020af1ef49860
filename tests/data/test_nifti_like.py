from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kascade.data.nifti import read_volume
from kascade.data.nifti_like import write_like
from kascade.data.planes import SlicePlane, slice_plane
from kascade.errors import ConfigError, OutputError, ShapeError
from tests.heads import AFFINE, head_array, write_head

OBLIQUE = AFFINE @ np.array([[0, 0.99, 0.1, 0], [1, 0, 0, 0], [0, -0.1, 0.99, 0], [0, 0, 0, 1]])
PERMUTED = AFFINE[:, [2, 0, 1, 3]]


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE, PERMUTED, np.diag([1.0, 1, 1, 1]), None])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int16, np.float64])
def test_what_was_read_is_written_back_as_it_was(tmp_path: Path, affine: np.ndarray | None, dtype: type) -> None:
    source = write_head(tmp_path / "a.nii.gz", head_array().astype(dtype), affine)
    write_like(tmp_path / "b.nii.gz", read_volume(source).data, source)
    old, new = nib.load(source), nib.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(old.dataobj), np.asanyarray(new.dataobj))
    np.testing.assert_array_equal(old.affine, new.affine)
    assert new.get_data_dtype() == np.dtype(dtype)
    for key in ("qform_code", "sform_code", "pixdim", "dim", "xyzt_units"):
        np.testing.assert_array_equal(old.header[key], new.header[key])


def test_nifti_2_stays_nifti_2(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(head_array(), AFFINE), tmp_path / "a.nii")
    write_like(tmp_path / "b.nii", read_volume(tmp_path / "a.nii").data, tmp_path / "a.nii")
    assert isinstance(nib.load(tmp_path / "b.nii"), nib.Nifti2Image)


def test_slope_and_intercept_are_kept_and_integers_rounded_and_limited(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), AFFINE)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    data = read_volume(tmp_path / "a.nii").data
    data[0, 0, 0], data[0, 0, 1] = 1e6, -1e6
    data[1, 1, 1] += 0.2
    write_like(tmp_path / "b.nii", data, tmp_path / "a.nii")
    new = nib.load(tmp_path / "b.nii")
    assert (new.dataobj.slope, new.dataobj.inter, new.get_data_dtype()) == (0.5, 10, np.uint8)
    again = read_volume(tmp_path / "b.nii").data
    assert again[0, 0, 0] == 137.5 and again[0, 0, 1] == 10
    assert again[1, 1, 1] == data[1, 1, 1] - 0.2


def test_two_dimensional_files_and_a_fourth_axis_of_one_keep_their_shape(tmp_path: Path) -> None:
    for shape in ((6, 5), (6, 5, 1), (6, 5, 4, 1)):
        source = write_head(tmp_path / "a.nii.gz", np.random.default_rng(0).random(shape, dtype=np.float32))
        write_like(tmp_path / "b.nii.gz", read_volume(source).data, source, force=True)
        assert nib.load(tmp_path / "b.nii.gz").shape == shape
        np.testing.assert_array_equal(nib.load(source).get_fdata(), nib.load(tmp_path / "b.nii.gz").get_fdata())


def test_another_shape_or_suffix_or_an_existing_file_is_refused(tmp_path: Path) -> None:
    source = write_head(tmp_path / "a.nii.gz")
    data = read_volume(source).data
    with pytest.raises(ShapeError):
        write_like(tmp_path / "b.nii.gz", data[1:], source)
    with pytest.raises(ConfigError, match=r"\.nii"):
        write_like(tmp_path / "b.mgz", data, source)
    with pytest.raises(OutputError, match="exists"):
        write_like(source, data, source)


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_slices_become_the_volume_again(tmp_path: Path, name: str) -> None:
    volume = read_volume(write_head(tmp_path / "a.nii.gz"))
    plane = SlicePlane(name)
    assert bool((plane.volume(plane.slices(volume.data)) == volume.data).all())
    assert sorted(plane.spacing_mm(volume)) == sorted(volume.spacing_mm)


def test_thick_slices_say_how_a_volume_was_measured(tmp_path: Path) -> None:
    planes = []
    for spacing in ((1, 1, 1), (1, 1, 4), (1, 4, 1), (4, 1, 1), (1, 1, 1.4)):
        path = write_head(tmp_path / "a.nii.gz", affine=np.diag([*spacing, 1.0]))
        planes.append(slice_plane(read_volume(path)).name)
    assert planes == ["axial", "axial", "coronal", "sagittal", "axial"]
    upside_down = read_volume(write_head(tmp_path / "a.nii.gz", affine=np.diag([1.0, 1, 1, 1])))
    assert SlicePlane("axial").slices(upside_down.data).shape == upside_down.axial_slices().shape
    assert bool((SlicePlane("axial").slices(upside_down.data) == upside_down.axial_slices()).all())
