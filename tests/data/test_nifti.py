"""NIfTI volumes: geometry and values survive, damaged files are named."""

from __future__ import annotations

import errno
import gzip
from pathlib import Path

import hypothesis.strategies as st
import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from kascade.data.nifti import Volume, read_volume, write_slices, write_volume
from kascade.errors import ConfigError, FileFormatError, OutputError, ShapeError
from tests.data.files import damaged

SHAPE = (5, 6, 4)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("image_type", [nib.Nifti1Image, nib.Nifti2Image])
def test_values_and_anisotropic_spacing_are_kept(tmp_path, voxels, suffix, image_type):
    path = tmp_path / f"head.v1{suffix}"
    nib.save(image_type(voxels, np.diag([0.87, 0.9, 5.0, 1.0])), path)
    volume = read_volume(path)
    assert volume.data.dtype == torch.float32 and volume.data.is_contiguous()
    np.testing.assert_array_equal(volume.data.numpy(), voxels)
    assert volume.spacing_mm == pytest.approx((0.87, 0.9, 5.0))
    assert (volume.orientation, volume.problems, volume.name) == ("RAS", (), "head.v1")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(3)), signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
def test_every_orientation_becomes_ras_with_each_voxel_at_its_place(tmp_path, order, signs):
    """A voxel's millimeter position, found through the affine, does not move."""
    voxels = np.arange(1, 121, dtype=np.float32).reshape(SHAPE)
    affine = np.eye(4)
    affine[:3, :3] = (np.diag([1.0, 2.0, 3.0]) * signs)[:, order]
    affine[:3, 3] = 10, 20, 30
    volume = read_volume(save(tmp_path / "v.nii", voxels, affine))
    in_file = read_volume(tmp_path / "v.nii", canonical=False)
    assert volume.orientation == "RAS"
    assert volume.spacing_mm == pytest.approx((1.0, 2.0, 3.0))
    np.testing.assert_array_equal(in_file.data.numpy(), voxels)
    for value in (1.0, 37.0, 120.0):
        place = [
            (v.affine @ torch.tensor([*torch.nonzero(v.data == value)[0].tolist(), 1.0], dtype=torch.float64))[:3]
            for v in (volume, in_file)
        ]
        torch.testing.assert_close(place[0], place[1])


def test_integer_voxels_are_scaled(tmp_path):
    stored = np.arange(120, dtype=np.int16).reshape(SHAPE)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, -7)
    nib.save(image, tmp_path / "v.nii.gz")
    raw = nib.load(tmp_path / "v.nii.gz")
    assert raw.get_data_dtype() == np.int16 and raw.dataobj.slope == 0.5
    np.testing.assert_allclose(read_volume(tmp_path / "v.nii.gz").data.numpy(), np.asarray(raw.dataobj), rtol=1e-6)


def test_nan_and_overflowing_voxels_become_zero_and_are_counted(tmp_path, voxels):
    array = voxels.astype(np.float64)
    array[0, 0, 0], array[1, 1, 1], array[2, 2, 2] = np.nan, np.inf, 1e300
    volume = read_volume(save(tmp_path / "v.nii", array))
    assert volume.problems == ("3 of 120 voxels are NaN or Inf: set to 0",)
    assert volume.data[0, 0, 0] == volume.data[1, 1, 1] == volume.data[2, 2, 2] == 0
    assert torch.equal(volume.data[4], torch.from_numpy(voxels[4]))


def test_only_nan_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="no voxel is finite"):
        read_volume(save(tmp_path / "v.nii", np.full(SHAPE, np.nan, np.float32)))


def test_all_zero_is_a_problem(tmp_path):
    assert read_volume(save(tmp_path / "v.nii", np.zeros(SHAPE, np.float32))).problems == ("every voxel is 0",)


def test_missing_affine_warns_and_keeps_the_voxel_size(tmp_path, voxels):
    image = nib.Nifti1Image(voxels, None)
    image.header.set_zooms((1.0, 2.0, 3.0))
    nib.save(image, tmp_path / "v.nii")
    volume = read_volume(tmp_path / "v.nii")
    assert "no affine" in volume.problems[0]
    assert volume.orientation == "???" and volume.spacing_mm == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(volume.data.numpy(), voxels)


@pytest.mark.parametrize("shape", [(5, 6, 4, 1), (5, 6, 4, 1, 1)])
def test_trailing_single_axes_are_dropped(tmp_path, voxels, shape):
    assert read_volume(save(tmp_path / "v.nii", voxels.reshape(shape))).data.shape == SHAPE


def test_a_plane_becomes_a_volume(tmp_path, voxels):
    assert read_volume(save(tmp_path / "v.nii", voxels[:, :, 0])).data.shape == (5, 6, 1)


def test_what_nibabel_repairs_is_a_problem_and_not_printed(tmp_path, voxels, capfd):
    path = save(tmp_path / "v.nii", voxels)
    content = bytearray(path.read_bytes())
    content[80:84] = np.float32(-1).tobytes()  # pixdim of the first axis
    path.write_bytes(content)
    assert any("pixdim" in problem for problem in read_volume(path).problems)
    assert capfd.readouterr() == ("", "")


def test_axial_slices_show_the_nose_up_and_right_on_the_left(tmp_path):
    array = np.zeros(SHAPE, np.float32)
    array[4, 5, 3] = 1  # most right, most anterior, highest
    slices = read_volume(save(tmp_path / "v.nii", array)).axial_slices()
    assert slices.shape == (4, 6, 5)
    assert torch.nonzero(slices).tolist() == [[3, 0, 0]]


def bad_file(path: Path, kind: str) -> str:
    """Write a damaged file; return what the message must say."""
    rng = np.random.default_rng(0)
    if kind == "absent":
        return "no such file"
    if kind == "folder":
        path.mkdir()
        return "no such file"
    if kind == "empty":
        path.write_bytes(b"")
        return "not a readable NIfTI"
    if kind == "text":
        path.write_text("hello" * 200)
        return "not a readable NIfTI"
    if kind == "4-D":
        save(path, np.ones((*SHAPE, 2), np.float32))
        return r"\(5, 6, 4, 2\) is not 3-D"
    if kind == "complex":
        save(path, np.ones(SHAPE, np.complex64))
        return "complex"
    if kind == "rgb":
        save(path, np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])))
        return "RGB"
    save(path, rng.normal(size=(20, 20, 20)).astype(np.float32))
    whole = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    if kind in ("flat affine", "parallel axes", "NaN affine"):
        image = nib.load(path)
        image.header["srow_x"] = {"flat affine": 0, "parallel axes": 1, "NaN affine": np.nan}[kind]
        image.header["srow_y"] = 1 if kind == "parallel axes" else image.header["srow_y"]
        header = bytearray(whole)
        header[:348] = image.header.binaryblock
        path.write_bytes(header)
        return "affine is singular" if kind == "parallel axes" else "makes no sense"
    if kind == "hostile dims":
        header = bytearray(whole)
        header[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()
        path.write_bytes(gzip.compress(bytes(header)) if path.name.endswith(".gz") else header)
        return "truncated"
    assert kind == "truncated"
    stored = path.read_bytes()
    path.write_bytes(stored[: len(stored) // 2])
    return "truncated"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("absent", "v.nii"),
        ("folder", "v.nii"),
        ("empty", "v.nii"),
        ("empty", "v.nii.gz"),
        ("text", "v.nii"),
        ("text", "v.nii.gz"),
        ("text", "v.txt"),
        ("4-D", "v.nii"),
        ("complex", "v.nii"),
        ("rgb", "v.nii"),
        ("flat affine", "v.nii"),
        ("parallel axes", "v.nii"),
        ("NaN affine", "v.nii"),
        ("hostile dims", "v.nii"),
        ("hostile dims", "v.nii.gz"),
        ("truncated", "v.nii"),
        ("truncated", "v.nii.gz"),
    ],
)
def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, kind, name):
    expected = bad_file(tmp_path / name, kind)
    with pytest.raises(FileFormatError, match=expected) as caught:
        read_volume(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


WHOLE = nib.Nifti1Image(np.arange(120, dtype=np.float32).reshape(SHAPE), np.diag([1, 2, 3, 1])).to_bytes()


@settings(deadline=None, max_examples=150)
@given(content=damaged(WHOLE), packed=st.booleans())
def test_no_damage_raises_anything_else(tmp_path_factory, content, packed):
    path = tmp_path_factory.getbasetemp() / ("damaged.nii.gz" if packed else "damaged.nii")
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        volume = read_volume(path)
    except FileFormatError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert torch.isfinite(volume.data).all() and volume.data.ndim == 3 and min(volume.spacing_mm) > 0


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_written_with_an_affine_reads_back(tmp_path, voxels, name):
    affine = np.diag([0.8, 0.9, 4.0, 1.0])
    affine[:3, 3] = -10, 5, 2
    write_volume(tmp_path / name, torch.from_numpy(voxels), affine=affine)
    volume = read_volume(tmp_path / name)
    assert torch.equal(volume.data, torch.from_numpy(voxels))
    np.testing.assert_allclose(volume.affine.numpy(), affine, rtol=1e-6)
    assert volume.problems == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_written_like_another_keeps_its_geometry(tmp_path, voxels):
    affine = np.array([[0, 0, -2, 3], [1, 0, 0, 4], [0, 3, 0, 5], [0, 0, 0, 1.0]])
    volume = read_volume(save(tmp_path / "in.nii", voxels, affine), canonical=False)
    write_volume(tmp_path / "out.nii", 2 * volume.data, like=volume)
    again = read_volume(tmp_path / "out.nii", canonical=False)
    assert torch.equal(again.data, 2 * volume.data)
    torch.testing.assert_close(again.affine, volume.affine)
    assert again.orientation == volume.orientation == "ASL"


def test_spacing_alone_claims_no_orientation(tmp_path, voxels):
    write_volume(tmp_path / "out.nii", torch.from_numpy(voxels), spacing_mm=(1.0, 2.0, 3.0))
    header = nib.load(tmp_path / "out.nii").header
    assert int(header["sform_code"]) == int(header["qform_code"]) == 0
    volume = read_volume(tmp_path / "out.nii")
    assert volume.spacing_mm == (1.0, 2.0, 3.0) and "no affine" in volume.problems[0]
    write_volume(tmp_path / "again.nii", volume.data, like=volume)
    assert read_volume(tmp_path / "again.nii").spacing_mm == (1.0, 2.0, 3.0)


def test_slices_are_written_with_reversed_axes(tmp_path, voxels):
    write_slices(tmp_path / "out.nii.gz", torch.from_numpy(voxels), spacing_mm=(5.0, 0.7, 0.9))
    volume = read_volume(tmp_path / "out.nii.gz")
    assert volume.spacing_mm == pytest.approx((0.9, 0.7, 5.0))
    np.testing.assert_array_equal(volume.data.numpy(), voxels.transpose(2, 1, 0))


def test_output_is_not_overwritten_without_force(tmp_path, voxels):
    path = tmp_path / "out.nii"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write_volume(path, torch.from_numpy(voxels), spacing_mm=(1, 1, 1))
    assert path.read_text() == "precious"
    write_volume(path, torch.from_numpy(voxels), spacing_mm=(1, 1, 1), force=True)
    assert read_volume(path).data.shape == SHAPE


def test_equal_volumes_give_equal_bytes(tmp_path, voxels):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, torch.from_numpy(voxels), spacing_mm=(1, 1, 1))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_full_disk_leaves_nothing_and_keeps_the_old_file(tmp_path, voxels, monkeypatch):
    path = tmp_path / "out.nii"
    path.write_text("precious")

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_volume(path, torch.from_numpy(voxels), spacing_mm=(1, 1, 1), force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.nii"] and path.read_text() == "precious"


def test_a_missing_folder_is_an_output_error(tmp_path, voxels):
    with pytest.raises(OutputError, match="cannot be written"):
        write_volume(tmp_path / "no" / "out.nii", torch.from_numpy(voxels), spacing_mm=(1, 1, 1))


def test_wrong_arguments_are_named(tmp_path, voxels):
    data, path = torch.from_numpy(voxels), tmp_path / "out.nii"
    small = Volume(data[1:], torch.eye(4, dtype=torch.float64), (1.0, 1.0, 1.0))
    for arguments, error, message in [
        ({}, ConfigError, "exactly one"),
        ({"spacing_mm": (1, 1, 1), "affine": np.eye(4)}, ConfigError, "exactly one"),
        ({"spacing_mm": (1, 1)}, ConfigError, "three positive"),
        ({"spacing_mm": (1, 0, 1)}, ConfigError, "three positive"),
        ({"affine": np.eye(3)}, ConfigError, r"\(3, 3\)"),
        ({"affine": np.zeros((4, 4))}, ConfigError, "singular"),
        ({"like": small}, ShapeError, "differs"),
    ]:
        with pytest.raises(error, match=message):
            write_volume(path, data, **arguments)
    for bad in (data[0], data.to(torch.complex64)):
        with pytest.raises(ShapeError, match="expected real"):
            write_volume(path, bad, spacing_mm=(1, 1, 1))
    with pytest.raises(ShapeError, match="slices, rows, columns"):
        write_slices(path, data[0], (1, 1, 1))
    with pytest.raises(ConfigError, match=r"\.nii"):
        write_volume(tmp_path / "out.h5", data, spacing_mm=(1, 1, 1))
    assert not list(tmp_path.iterdir())


def test_real_volumes(real_data):
    volume = read_volume(next(iter(sorted((real_data / "t1w").glob("*.nii.gz")))))
    assert sorted(volume.data.shape) == [181, 288, 288]
    assert sorted(volume.spacing_mm) == pytest.approx([0.87, 0.87, 1.0], abs=0.01)
    assert volume.orientation == "RAS" and float(volume.data.max()) > 0
    flair = read_volume(real_data / "multicontrast" / "patient01" / "FLAIR.nii.gz")
    assert flair.data.ndim == 3 and flair.orientation == "RAS"
