from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.data import load
from kascade.data.load import READERS
from kascade.errors import FileFormatError
from tests.data.h5_files import random_kspace, write_h5

KSPACE = random_kspace(2, 3, 16, 12)


def write_bart(stem: Path) -> Path:
    array = KSPACE[0].permute(1, 2, 0).numpy()  # rows, columns, coil
    Path(f"{stem}.hdr").write_text("# Dimensions\n1 16 12 3\n")
    Path(f"{stem}.cfl").write_bytes(np.asfortranarray(array).tobytes(order="F"))
    return Path(f"{stem}.cfl")


def test_content_not_name_decides(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", kspace=KSPACE)
    np.save(tmp_path / "b.npy", KSPACE.numpy())
    (tmp_path / "a.h5").rename(tmp_path / "h5.npy")
    (tmp_path / "b.npy").rename(tmp_path / "npy.h5")
    for name in ("h5.npy", "npy.h5"):
        assert torch.equal(load(tmp_path / name).kspace[1], KSPACE[1])


@pytest.mark.parametrize("name", ["scan", "scan.cfl", "scan.hdr"])
def test_bart_by_either_file_or_the_stem(tmp_path: Path, name: str) -> None:
    write_bart(tmp_path / "scan")
    assert torch.equal(load(tmp_path / name).kspace[0], KSPACE[0])


def test_matlab_v73_is_not_taken_for_fastmri(tmp_path: Path) -> None:
    with_user_block = tmp_path / "m.mat"
    import h5py

    with h5py.File(with_user_block, "w", userblock_size=512) as file:
        pairs = np.empty((12, 16), [("real", "f4"), ("imag", "f4")])
        pairs["real"], pairs["imag"] = KSPACE[0, 0].T.real, KSPACE[0, 0].T.imag
        file["kspace"] = pairs
        file["kspace"].attrs["MATLAB_class"] = np.bytes_("single")
    with with_user_block.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    assert torch.equal(load(with_user_block).kspace[0], KSPACE[0, :1])  # rows and columns as MATLAB shows them


def test_axes_reach_the_reader(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", KSPACE[0].numpy())
    assert load(tmp_path / "a.npy", axes="coil,rows,columns").kspace.shape == (1, 3, 16, 12)
    write_h5(tmp_path / "a.h5", kspace=KSPACE[0])
    assert load(tmp_path / "a.h5", axes="coil,rows,columns").kspace.shape == (1, 3, 16, 12)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", kspace=KSPACE)
    assert load(str(path)).path == path


def test_files_that_no_reader_knows(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello, I am no HDF5 file")
    (tmp_path / "empty.h5").touch()
    for name, message in (
        ("text.h5", r"text\.h5: of no known format \(by its content\); expected one of: BART cfl/hdr, NumPy"),
        ("empty.h5", "empty file"),
        ("missing.h5", "no such file"),
        ("missing", "no such file"),
        (".", "a folder; expected one file"),
    ):
        with pytest.raises(FileFormatError, match=message) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_no_reader_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        load(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_no_permission_as_another_user(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", kspace=KSPACE)
    os.seteuid(65534)
    try:
        with pytest.raises(FileFormatError, match=r"a\.h5: cannot be read \(Permission denied\)"):
            load(path)  # pytest's folder is closed to others
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_reader_takes_or_trips_over_foreign_files(tmp_path: Path, reader: object) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "short").write_bytes(b"x")
    for name in ("noise.bin", "short", "missing", "."):
        assert reader.matches(tmp_path / name) is False  # type: ignore[attr-defined]
