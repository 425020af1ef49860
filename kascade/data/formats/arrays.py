"""Slices of one array in a file, read when asked: the source behind a Scan of BART, NumPy and MATLAB files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.formats.axes import AXES
from kascade.errors import FileFormatError

__all__ = ["ArraySource", "LazyArray", "LoadedArray", "MappedArray", "check_complex", "one_line"]


class LazyArray(Protocol):
    """An array in a file: knows its shape and type, and reads a part of itself. Picklable; holds no open file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Copy of the part `index`."""


@dataclass(frozen=True)
class MappedArray:
    """Uncompressed array at an offset of a file; the file is mapped for the time of one read only."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0
    order: Any = "C"

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Copy of the part `index`, which may be a scalar or an array.

        Raises
        ------
        FileFormatError
            If the file is no longer as it was when the header was read.
        """
        try:
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
            return np.array(mapped[index])
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{self.path}: changed or vanished while it was read ({one_line(error)})") from error


class LoadedArray:
    """Array that can only be read whole (compressed): kept from the first read on, left behind when pickled.

    Parameters
    ----------
    shape, dtype
        Of the array.
    load : callable
        Returns the array; picklable.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], load: Callable[[], NDArray[Any]]) -> None:
        self.shape, self.dtype, self.load = shape, dtype, load

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Copy of the part `index`."""
        return np.array(self._whole[index])

    @cached_property
    def _whole(self) -> NDArray[Any]:
        return self.load()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_whole"}


class ArraySource:
    """The slices of a `LazyArray` whose axes have names.

    Parameters
    ----------
    array : LazyArray
        Complex, axes in any order.
    axes : sequence of str
        Name of every axis.
    order : sequence of str
        Names in the order in which they are given out, slice first; those that `axes` lacks have length 1.
    """

    def __init__(self, array: LazyArray, axes: Sequence[str], order: Sequence[str] = AXES) -> None:
        self.array, self.axes, self.order = array, tuple(axes), tuple(order)
        length = dict(zip(self.axes, array.shape, strict=True))
        self.shape = tuple(length.get(name, 1) for name in self.order)

    def __getitem__(self, index: int) -> Tensor:
        """Slice `index` as complex64, of shape ``self.shape[1:]``."""
        part = self.array.read(tuple(index if name == "slice" else slice(None) for name in self.axes))
        left = [name for name in self.axes if name != "slice"]
        ordered = part.transpose([left.index(name) for name in self.order if name in left]).reshape(self.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):  # complex128 beyond float32 becomes Inf, which is refused
            return torch.from_numpy(np.ascontiguousarray(ordered, dtype=np.complex64))


def check_complex(dtype: np.dtype[Any], where: str) -> None:
    """Refuse samples that are not complex64 or complex128.

    Raises
    ------
    FileFormatError
        Naming the type found in `where`.
    """
    if dtype.kind != "c" or dtype.itemsize not in (8, 16):
        raise FileFormatError(f"{where}: samples are {dtype}; expected complex64 or complex128 k-space")


def one_line(error: BaseException) -> str:
    """Message of an exception without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
