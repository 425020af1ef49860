from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from kascade.data.formats.hdf5 import (
    H5Source,
    check_complex_dataset,
    check_file,
    check_storage,
    dataset_names,
    is_hdf5,
    local_dataset,
    open_hdf5,
)
from kascade.errors import FileFormatError, ShapeError
from tests.data.h5_files import compound, random_kspace, write_h5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_h5(tmp_path / "a.h5", kspace=random_kspace(2, 3, 4, 5), target=np.ones((2, 4, 4)))


def test_signature_not_name_decides(tmp_path: Path, file: Path) -> None:
    renamed = tmp_path / "a.txt"
    renamed.write_bytes(file.read_bytes())
    text = tmp_path / "b.h5"
    text.write_text("no HDF5")
    assert is_hdf5(file) and is_hdf5(renamed)
    assert not is_hdf5(text) and not is_hdf5(tmp_path) and not is_hdf5(tmp_path / "missing.h5")


@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_signature_after_a_user_block(tmp_path: Path, size: int) -> None:
    path = tmp_path / "user.h5"
    with h5py.File(path, "w", userblock_size=size) as file:
        file["kspace"] = 1.0
    assert is_hdf5(path)
    path.write_bytes(b"\0" + path.read_bytes())  # now at none of the places that the format allows
    assert not is_hdf5(path)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.h5").touch()
    os.mkfifo(tmp_path / "pipe.h5")
    for name, message in (
        (".", "a folder; expected one file"),
        ("missing.h5", "no such file"),
        ("empty.h5", r"empty\.h5: empty file"),
        ("pipe.h5", "not a regular file"),
        ("n" * 300, "cannot be read \\(File name too long\\)"),
    ):
        with pytest.raises(FileFormatError, match=message):
            check_file(tmp_path / name)
    assert not is_hdf5(tmp_path / "pipe.h5")


def test_no_permission(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0)
    if os.access(file, os.R_OK):  # root may read everything

        def refuse(self: Path, mode: str = "r") -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileFormatError, match=r"a\.h5: cannot be read \(Permission denied\)"):
        check_file(file)


def test_truncation_is_found_at_every_length(file: Path) -> None:
    content = file.read_bytes()
    for length in range(1, len(content), 37):
        file.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"truncated or damaged HDF5|not HDF5"), open_hdf5(file) as opened:
            local_dataset(opened, "kspace")[()]


def test_errors_of_ours_pass_unchanged(file: Path) -> None:
    error = ShapeError("ours")
    with pytest.raises(ShapeError) as caught, open_hdf5(file):
        raise error
    assert caught.value is error


def test_file_is_closed_after_an_error(file: Path) -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    with pytest.raises(FileFormatError, match="damaged"), open_hdf5(file) as opened:
        opened["missing"]
    assert not opened
    if before:
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_names_with_shapes(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened["deep/er"] = np.ones(3)
        opened["out"] = h5py.ExternalLink("/nowhere.h5", "kspace")
        assert dataset_names(opened) == ["deep/er (3,)", "kspace (2, 3, 4, 5)", "target (2, 4, 4)"]


def test_links_that_leave_the_file_are_refused(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as opened:
        opened["real"] = np.ones(3)
        opened["neighbor"] = h5py.SoftLink("/real")
        opened["second"] = h5py.SoftLink("neighbor")
        opened["outside"] = h5py.ExternalLink(str(file), "kspace")
        opened["through"] = h5py.SoftLink("/outside")
        opened["into"] = h5py.SoftLink("/group/outside")
        opened["circle"] = h5py.SoftLink("/circle")
        opened["dangling"] = h5py.SoftLink("/nothing")
        opened.create_group("group")["outside"] = h5py.ExternalLink(str(file), "kspace")
    with open_hdf5(path) as opened:
        for name in ("real", "neighbor", "second"):
            dataset = local_dataset(opened, name)
            assert dataset is not None and dataset.shape == (3,)
        assert local_dataset(opened, "missing") is None
        assert local_dataset(opened, "dangling") is None
        for name in ("outside", "through", "into"):
            with pytest.raises(FileFormatError, match=f"{name} is a link out of this place; for safety"):
                local_dataset(opened, name)
        with pytest.raises(FileFormatError, match="circle is a chain of links"):
            local_dataset(opened, "circle")
        with pytest.raises(FileFormatError, match="group is a group; expected a data set"):
            local_dataset(opened, "group")


def test_samples_in_other_files_are_refused(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"s" * 64)
    path = tmp_path / "external.h5"
    layout = h5py.VirtualLayout(shape=(2, 3, 4, 5), dtype="c8")
    layout[:] = h5py.VirtualSource(str(file), "kspace", shape=(2, 3, 4, 5))
    with h5py.File(path, "w") as opened:
        opened.create_dataset("raw", (8,), "c8", external=[(str(secret), 0, 64)])
        opened.create_virtual_dataset("virtual", layout)
    with open_hdf5(path) as opened:
        for name in ("raw", "virtual"):
            with pytest.raises(FileFormatError, match=f"{name} keeps its samples in other files"):
                local_dataset(opened, name)


def test_absurd_declared_shapes(tmp_path: Path) -> None:
    path = tmp_path / "absurd.h5"
    with h5py.File(path, "w") as opened:
        opened.create_dataset("chunked", (10**6, 10**3, 10**5, 10**5), "c8", chunks=(1, 1, 10, 10))
        opened.create_dataset("plain", (10**6, 10**3, 10**3), "c8")
        opened.create_dataset("nothing", (2, 0, 3), "c8")
        opened["void"] = h5py.Empty("c8")
        opened.create_dataset("zeros", data=np.zeros((64, 64, 64), np.complex64), compression="gzip", chunks=True)
    with open_hdf5(path) as opened:
        for name in ("chunked", "plain"):
            with pytest.raises(FileFormatError, match=r"declares shape \(1000000, .* but 0 bytes are stored"):
                check_storage(opened[name], name)
        for name in ("nothing", "void"):
            with pytest.raises(FileFormatError, match="holds nothing"):
                check_storage(opened[name], name)
        check_storage(opened["zeros"], "zeros")  # as small as deflate can make it


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.ones((2, 2), np.int16), "samples of type int16; expected complex"),
        (np.ones((2, 2), np.float32), "samples of type float32; .* store real and imaginary part in one"),
        (np.ones((2, 3), np.float32), r"samples of type float32; expected complex, or a compound \(r, i\)[^;]*$"),
        (compound(np.ones(2), ("r", "i"), "i2"), r"compound type \(r: int16, i: int16\); expected floating-point"),
        (compound(np.ones(2), ("x", "y"), "f4"), r"compound type \(x, y\); expected complex"),
        (np.zeros(2, [("r", "f4"), ("i", "f4"), ("w", "f4")]), r"compound type \(r, i, w\)"),
        (np.zeros(2, [("r", "f4", 2), ("i", "f4", 2)]), "expected floating-point parts"),
        (np.array([b"text"]), "expected complex"),
    ],
)
def test_types_that_are_no_k_space(tmp_path: Path, stored: np.ndarray, message: str) -> None:
    path = write_h5(tmp_path / "a.h5", kspace=stored)
    with open_hdf5(path) as opened, pytest.raises(FileFormatError, match=message):
        check_complex_dataset(opened["kspace"], "a.h5: kspace")


@pytest.mark.parametrize("kind", ["<c8", ">c8", "<c16"])
def test_complex_types_of_numpy(tmp_path: Path, kind: str) -> None:
    array = random_kspace(2, 3, 4)
    path = write_h5(tmp_path / "a.h5", kspace=array.numpy().astype(kind))
    assert_reads(path, array)


@pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", "f8"])
@pytest.mark.parametrize("fields", ["r i", "i r", "real imag", "imag real"])
def test_compound_types_of_two_floats(tmp_path: Path, kind: str, fields: str) -> None:
    array = torch.view_as_complex((torch.view_as_real(random_kspace(2, 3, 4)) * 64).round() / 64)  # exact in halves
    stored = np.empty((2, 3, 4), [(field, kind) for field in fields.split()])
    for field in fields.split():
        stored[field] = array.real if field in ("r", "real") else array.imag
    assert_reads(write_h5(tmp_path / "a.h5", kspace=stored), array)


def assert_reads(path: Path, expected: Tensor) -> None:
    with open_hdf5(path) as opened:
        check_complex_dataset(opened["kspace"], "kspace")
    read = H5Source(path, "kspace", (2, 3, 4), (2, 3, 4))[1]
    assert read.dtype == torch.complex64
    assert torch.equal(read, expected[1])


def test_source_reorders_axes(tmp_path: Path) -> None:
    array = random_kspace(4, 5, 2, 3)  # rows, columns, slice, coil
    path = write_h5(tmp_path / "a.h5", kspace=array)
    source = H5Source(path, "kspace", (4, 5, 2, 3), (2, 3, 4, 5), slice_axis=2, order=(2, 0, 1))
    assert torch.equal(source[1], array.permute(2, 3, 0, 1)[1])


def test_a_file_that_changed_after_it_was_opened(file: Path) -> None:
    source = H5Source(file, "kspace", (2, 3, 4, 5), (2, 3, 4, 5))
    write_h5(file, kspace=random_kspace(2, 3, 4, 6))
    with pytest.raises(FileFormatError, match="kspace changed after the file was opened"):
        source[0]
    write_h5(file, other=np.ones(3))
    with pytest.raises(FileFormatError, match="kspace changed"):
        source[0]
    file.unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        source[0]


def test_damaged_chunk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as opened:
        noise = random_kspace(2, 3, 16, 16).numpy()
        dataset = opened.create_dataset("kspace", data=noise, chunks=(1, 3, 16, 16), compression="gzip")
        start = dataset.id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    source = H5Source(path, "kspace", (2, 3, 16, 16), (2, 3, 16, 16))
    assert torch.equal(source[0], torch.from_numpy(noise[0]))
    with pytest.raises(FileFormatError, match=r"a\.h5: truncated or damaged HDF5 file"):
        source[1]
