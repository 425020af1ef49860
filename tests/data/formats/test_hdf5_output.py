from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kascade.data.formats.hdf5_output import create_hdf5
from kascade.errors import OutputError


def limit_writes(monkeypatch: pytest.MonkeyPatch, room: int, code: int = errno.ENOSPC) -> None:
    """Let the system take `room` bytes in all, a part of the last write too, as a disk does."""
    write, left = os.write, [room]

    def limited(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(code, os.strerror(code))
        written = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)


def test_writes_what_h5py_would(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5, 100, 100))
    with create_hdf5(tmp_path / "a.h5") as output:
        output.file.create_dataset("x", data=values, chunks=(1, 100, 100), compression="gzip")
        output.file.create_dataset("y", data=values)
        output.file["y"][2] = 0
        output.check()
        output.file["text"] = "é"
        del output.file["x"]
        output.file.create_dataset("x", data=values[::-1])
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"], values[::-1])
        np.testing.assert_array_equal(file["y"][[1, 3]], values[[1, 3]])
        assert file["text"][()].decode() == "é"
    assert os.listdir(tmp_path) == ["a.h5"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(room=st.integers(0, 70_000), chunked=st.booleans())
def test_disk_full_anywhere(tmp_path: Path, room: int, chunked: bool) -> None:
    """Wherever it happens: in a slice, in the metadata, while HDF5 closes."""
    with pytest.MonkeyPatch.context() as patch:
        limit_writes(patch, room)
        with (
            pytest.raises(OutputError, match=r"a\.h5: cannot be written \(the disk is full\)"),
            create_hdf5(tmp_path / "a.h5") as output,
        ):
            dataset = output.file.create_dataset("x", (8, 32, 32), "f8", chunks=(1, 32, 32) if chunked else None)
            for index in range(8):
                dataset[index] = index
                output.check()
            for number in range(50):
                output.file.attrs[str(number)] = "x" * 100
    assert os.listdir(tmp_path) == []
    with create_hdf5(tmp_path / "a.h5") as output:  # HDF5 is in good health after it
        output.file["x"] = np.ones(3)
    (tmp_path / "a.h5").unlink()


def test_the_check_ends_the_writing_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_writes(monkeypatch, 20_000)
    done = []
    with pytest.raises(OutputError), create_hdf5(tmp_path / "a.h5") as output:
        dataset = output.file.create_dataset("x", (100, 1000), "f8")
        for index in range(100):
            dataset[index] = 1
            output.check()
            done.append(index)
    assert len(done) <= 3


def test_other_errors_of_the_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_writes(monkeypatch, 500, errno.EIO)
    with pytest.raises(OutputError, match="Input/output error"), create_hdf5(tmp_path / "a.h5") as output:
        output.file["x"] = np.ones(1000)
    assert os.listdir(tmp_path) == []


def test_an_interruption_within_a_write_is_raised_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int, data: memoryview) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt), create_hdf5(tmp_path / "a.h5") as output:
        output.file["x"] = np.ones(1000)
        output.check()
    assert os.listdir(tmp_path) == []


def test_an_error_in_the_block_passes(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with pytest.raises(ZeroDivisionError), create_hdf5(tmp_path / "a.h5") as output:
        output.file["x"] = np.ones(1000)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    assert before is None or len(os.listdir("/proc/self/fd")) == before
