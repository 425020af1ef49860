"""HDF5 output that survives a full disk: the file appears whole or not at all, and the process lives on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

from kascade.data.atomic import atomic_output

__all__ = ["H5Output", "create_hdf5"]


class _PatientFile:
    """File for HDF5 to write to, which never fails: an error is kept for later, what was to be written as well.

    HDF5 crashes the process when it cannot write out what it holds while it closes. So it gets to see a file that
    took everything; `error` says what the system really answered. What came after that is held in memory: at most
    one slice and some metadata, since `H5Output.check` ends the writing.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        self._position = self._size = 0
        self._unwritten: list[tuple[int, bytes]] = []

    def close(self) -> None:
        os.close(self._descriptor)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._write_now(view)
            except BaseException as error:  # an interruption too may only be raised once HDF5 is done
                self.error = error
        if self.error is not None:
            self._unwritten.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def _write_now(self, view: memoryview) -> None:
        os.lseek(self._descriptor, self._position, os.SEEK_SET)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def read(self, size: int) -> bytes:
        os.lseek(self._descriptor, self._position, os.SEEK_SET)
        data = bytearray()
        while len(data) < size and (part := os.read(self._descriptor, size - len(data))):
            data += part
        data = data.ljust(size, b"\0")
        for start, unwritten in self._unwritten:
            first, last = max(start, self._position), min(start + len(unwritten), self._position + size)
            if first < last:
                data[first - self._position : last - self._position] = unwritten[first - start : last - start]
        self._position += size
        return bytes(data)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = self.read(len(view))
        return len(view)

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, size)
            except BaseException as error:
                self.error = error
        self._size = size
        return size

    def flush(self) -> None:
        """Nothing is buffered."""


@dataclass(frozen=True)
class H5Output:
    """An HDF5 file being written.

    Attributes
    ----------
    file : h5py.File
        To be filled.
    """

    file: h5py.File
    _below: _PatientFile

    def check(self) -> None:
        """Raise what the system answered to the writes so far; to be called after each slice.

        Raises
        ------
        OSError
            If the disk is full, for instance.
        """
        self.file.flush()
        if self._below.error is not None:
            raise self._below.error


@contextmanager
def create_hdf5(path: str | os.PathLike[str], force: bool = False) -> Iterator[H5Output]:
    """Create an HDF5 file that appears at `path` when the block ends without an error.

    Parameters
    ----------
    path : path
        File to write.
    force : bool
        Replace an existing file.

    Yields
    ------
    H5Output
        Call its `check` after each larger piece: errors of the disk appear there, or at the end.

    Raises
    ------
    OutputError
        If the file exists (and not `force`) or cannot be written; nothing is left behind then.
    """
    with atomic_output(path, force) as beside:
        below = _PatientFile(beside)
        try:
            with h5py.File(below, "w") as file:
                yield H5Output(file, below)
            if below.error is not None:
                raise below.error
        finally:
            below.close()
