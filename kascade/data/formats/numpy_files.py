"""NumPy files: `.npy` and uncompressed `.npz` members are mapped, never unpickled."""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kascade.data.formats.archive import WANTED, pick_kspace, scan_of
from kascade.data.formats.arrays import LazyArray, LoadedArray, MappedArray, check_complex, one_line
from kascade.data.scan import Scan
from kascade.errors import FileFormatError

__all__ = ["matches", "read"]

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30  # of a zip member, before its name and extra field
# What zipfile and NumPy raise on damaged bytes; a KascadeError is none of these.
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, struct.error)
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def matches(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins as `.npy`, or is a zip archive with an `.npy` inside."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(6)
        if start[:4] == _ZIP:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".npy") for name in archive.namelist())
    except _DAMAGE:
        return False
    return start == _NPY


def read(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Read k-space from a `.npy` or `.npz` file.

    Parameters
    ----------
    path : path
        The file. Of several arrays in an `.npz`, `kspace` is taken, or the only complex one; `mask` and `maps` in
        the same archive are taken along.
    axes : str, optional
        Names of the axes of the array, such as ``slice,coil,rows,columns``, which is also the meaning of four axes
        without it; two axes are rows, columns; three must be named.

    Returns
    -------
    Scan
        Slices are read when asked for.

    Raises
    ------
    FileFormatError
        If the file is truncated, holds Python objects, is not complex, or its axes are not clear.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    path = Path(path)
    with path.open("rb") as file:
        single = file.read(6) == _NPY
        if single:
            file.seek(0)
            array = _mapped(path, _read_header(file, str(path)), path.stat().st_size, 0, str(path))
            check_complex(array.dtype, str(path))
            return scan_of(path, array, axes)
    arrays = _members(path)
    kspace = pick_kspace(path, arrays)
    return scan_of(path, arrays[kspace], axes, mask=arrays.get("mask"), maps=arrays.get("maps"))


def _unpack(path: Path, member: str) -> NDArray[Any]:
    """Read a deflated member of an `.npz`."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except _DAMAGE as error:
        raise FileFormatError(
            f"{path}: {member} is truncated or damaged ({one_line(error)}); copy the file again"
        ) from error


def _members(path: Path) -> dict[str, LazyArray]:
    """Arrays of an `.npz` by name; those of Python objects are left out, for they cannot be loaded safely."""
    arrays: dict[str, LazyArray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name == info.filename:
                    continue
                where = f"{path}: {info.filename}"
                with archive.open(info) as file:
                    header = _read_header(file, where)
                if header.dtype.hasobject and name not in WANTED:
                    continue
                array = _mapped(path, header, info.file_size, _data_start(path, info), where)
                stored = info.compress_type == zipfile.ZIP_STORED
                load = partial(_unpack, path, info.filename)
                arrays[name] = array if stored else LoadedArray(array.shape, array.dtype, load)
    except _DAMAGE as error:
        raise FileFormatError(f"{path}: damaged .npz archive ({one_line(error)}); copy the file again") from error
    return arrays


def _data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin: after its local header, whose last two fields are lengths."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    name_length, extra_length = struct.unpack("<26x2H", header)
    return info.header_offset + _LOCAL_HEADER_BYTES + int(name_length) + int(extra_length)


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    length: int


def _read_header(file: IO[bytes], where: str) -> _Header:
    """Parse the header with which every `.npy` begins."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in _READERS:
            raise ValueError(f"version {version} is for structured arrays")
        return _Header(*_READERS[version](file), file.tell())
    except Exception as error:  # NumPy's header parser raises whatever Python's tokenizer does
        raise FileFormatError(f"{where}: damaged .npy header ({one_line(error)})") from error


def _mapped(path: Path, header: _Header, size: int, start: int, where: str) -> MappedArray:
    """Array of the `.npy` that begins at `start` of the file and is `size` bytes long."""
    if header.dtype.hasobject:
        raise FileFormatError(f"{where}: holds pickled Python objects, which are never loaded; save plain arrays")
    needed = math.prod(header.shape) * header.dtype.itemsize
    if header.length + needed > size:
        raise FileFormatError(
            f"{where}: truncated: {header.shape} {header.dtype} needs {needed} bytes, {size - header.length} are "
            "there; copy the file again"
        )
    return MappedArray(path, header.shape, header.dtype, start + header.length, "F" if header.fortran else "C")
