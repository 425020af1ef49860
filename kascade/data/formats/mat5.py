"""Numeric arrays of MATLAB v5 files (`save -v6` and `-v7`), from bytes that are not trusted.

Written out here because SciPy's reader crashes the process on some damaged files. The layout is that of "MAT-File
Format" (MathWorks, R2023a), chapter "MAT-File Level 5 File Format".
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.data.formats.arrays import LoadedArray, one_line
from kascade.errors import FileFormatError

__all__ = ["numeric_arrays"]

_FILE_HEADER_BYTES = 128
_DESCRIPTION_BYTES = 4096  # flags, dimensions and name of an array lie within these
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX_BIT = 0x0800
_MAX_COMPRESSION = 1032  # deflate cannot do better
_STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_DAMAGE = (OSError, ValueError, EOFError, OverflowError, MemoryError, struct.error, zlib.error)


def numeric_arrays(path: Path) -> dict[str, LoadedArray]:
    """List the numeric arrays at the top of a file; structs, cells and text are passed over.

    Parameters
    ----------
    path : Path
        File with a v5 header.

    Returns
    -------
    dict
        Arrays by name, real or complex, each read whole when first asked for.

    Raises
    ------
    FileFormatError
        If the file is truncated or damaged.
    """
    arrays: dict[str, LoadedArray] = {}
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            order = ">" if file.read(_FILE_HEADER_BYTES)[-2:] == b"MI" else "<"
            start = _FILE_HEADER_BYTES
            while start < size:
                file.seek(start)
                kind, length = struct.unpack(f"{order}II", file.read(8))
                start += 8
                if kind not in (_MATRIX, _COMPRESSED) or start + length > size:
                    raise ValueError(f"element of type {kind} and {length} bytes at {start} of {size}")
                element = _Element(path, start, length, kind == _COMPRESSED, order)
                found = element.describe()
                if found is not None:
                    arrays[found.name] = LoadedArray(found.shape, found.dtype, partial(_load, element, found))
                start += length
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return arrays


@dataclass(frozen=True)
class _Description:
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Element:
    """One variable: `length` bytes at `start` of the file, after their tag."""

    path: Path
    start: int
    length: int
    compressed: bool
    order: str

    def content(self, limit: int | None = None) -> bytes:
        """Bytes of the array, at most `limit` of them."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            stored = file.read(self.length if limit is None else min(limit, self.length))
        if not self.compressed:
            return stored
        unpack = zlib.decompressobj()
        kind, length = struct.unpack(f"{self.order}II", unpack.decompress(stored, 8))
        if kind != _MATRIX or length > self.length * _MAX_COMPRESSION:
            raise ValueError(f"compressed element of type {kind} and {length} bytes")
        if limit is not None:
            return unpack.decompress(unpack.unconsumed_tail, min(limit, max(length, 1)))
        content = unpack.decompress(unpack.unconsumed_tail, max(length, 1))
        if len(content) != length or unpack.decompress(unpack.unconsumed_tail, 1) or not unpack.eof:
            raise ValueError(f"compressed element of {length} bytes does not end there, or its checksum is wrong")
        return content

    def describe(self) -> _Description | None:
        """Name, shape and type of a numeric array; None for anything else."""
        parts = _Parts(self.content(_DESCRIPTION_BYTES), self.order)
        leading = parts.numbers() if parts.left else np.zeros(0)
        flags = int(leading[0]) if len(leading) else 0
        kind = _CLASSES.get(flags & 0xFF)
        if kind is None:
            return None
        shape = tuple(int(n) for n in parts.numbers())
        if min(shape, default=-1) < 0:
            raise ValueError(f"dimensions {shape}")
        name = parts.numbers().tobytes().decode("utf-8", errors="replace")
        real = np.dtype(kind)
        return _Description(name, shape, np.result_type(real, np.complex64) if flags & _COMPLEX_BIT else real)


class _Parts:
    """The parts of an array one after the other: tag, numbers, padding to 8 bytes."""

    def __init__(self, content: bytes, order: str) -> None:
        self.content, self.order, self.position = content, order, 0

    @property
    def left(self) -> int:
        return len(self.content) - self.position

    def numbers(self) -> NDArray[Any]:
        """Numbers of the next part."""
        (tag,) = struct.unpack_from(f"{self.order}I", self.content, self.position)
        if tag >> 16:  # up to 4 bytes are kept inside the tag
            kind, length, begin = tag & 0xFFFF, tag >> 16, self.position + 4
            end = begin + 4
        else:
            kind, (length,) = tag, struct.unpack_from(f"{self.order}I", self.content, self.position + 4)
            begin = self.position + 8
            end = begin + length + (-length) % 8
        if kind not in _STORAGE or begin + length > len(self.content):
            raise ValueError(f"part of type {kind} and {length} bytes where {self.left} are left")
        self.position = end
        dtype = np.dtype(f"{self.order}{_STORAGE[kind]}")
        return np.frombuffer(self.content, dtype, length // dtype.itemsize, begin)


def _load(element: _Element, expected: _Description) -> NDArray[Any]:
    """Read an array whole; MATLAB may store its numbers in a smaller type than its class."""
    try:
        if element.describe() != expected:
            raise ValueError("it changed after it was opened")
        parts = _Parts(element.content(), element.order)
        for _ in ("flags", "dimensions", "name"):
            parts.numbers()
        planes = [parts.numbers() for _ in range(2 if expected.dtype.kind == "c" else 1)]
        if any(len(plane) != math.prod(expected.shape) for plane in planes):
            raise ValueError(f"{expected.name} of shape {expected.shape} has {len(planes[0])} numbers")
        array = np.empty(expected.shape, expected.dtype, order="F")
        array.real = planes[0].reshape(expected.shape, order="F")
        if len(planes) == 2:
            array.imag = planes[1].reshape(expected.shape, order="F")
        return array
    except _DAMAGE as error:
        raise _damaged(element.path, error) from error


def _damaged(path: Path, error: BaseException) -> FileFormatError:
    return FileFormatError(f"{path}: truncated or damaged MATLAB file ({one_line(error)}); copy it again")
