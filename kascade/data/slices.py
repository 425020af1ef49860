"""Stacks of slices that are read when asked for: the lazy arrays behind a Scan."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kascade.errors import FileFormatError

__all__ = ["MemorySource", "SharedSource", "SliceSource", "Slices"]


class SliceSource(Protocol):
    """What a reader provides: any picklable object that holds no open file and reads one slice at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole stack, slices first: (slices, coil, rows, columns) for k-space."""

    def __getitem__(self, index: int, /) -> Tensor:
        """Slice `index`, 0 to slices - 1, of shape ``self.shape[1:]``."""


@dataclass(frozen=True)
class MemorySource:
    """A stack that is in memory already: a tensor whose first axis counts slices."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(self.tensor.shape)

    def __getitem__(self, index: int) -> Tensor:
        return self.tensor[index]


@dataclass(frozen=True)
class SharedSource:
    """One tensor that serves every slice, such as coil maps stored once."""

    tensor: Tensor
    slices: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, ...) although one tensor is held."""
        return (self.slices, *self.tensor.shape)

    def __getitem__(self, index: int) -> Tensor:
        return self.tensor


@dataclass(frozen=True)
class _Window:
    """Slices `start`, `start` + 1, ... of another source."""

    source: SliceSource
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.stop - self.start, *self.source.shape[1:])

    def __getitem__(self, index: int) -> Tensor:
        return self.source[self.start + index]


@dataclass(frozen=True)
class _Mapped:
    """Another source with a function applied to each slice after reading."""

    source: SliceSource
    function: Callable[[Tensor], Tensor]
    item_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.source.shape[0], *self.item_shape)

    def __getitem__(self, index: int) -> Tensor:
        return self.function(self.source[index])


@dataclass(frozen=True, eq=False)
class Slices:
    """A stack of slices, read when indexed; every slice is checked for its shape and for NaN and Inf.

    Parameters
    ----------
    source : SliceSource
        Where slices come from.
    dtype : torch.dtype
        Type in which slices are given out, such as ``torch.complex64``.
    where : str
        File and data set, for messages.
    """

    source: SliceSource
    dtype: torch.dtype
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole stack, slices first."""
        return tuple(self.source.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> Tensor:
        """Slice `index` (negative counts from the end), of shape ``self.shape[1:]``.

        Raises
        ------
        IndexError
            If there is no such slice.
        FileFormatError
            If it cannot be read, has another shape than the file declared, or holds NaN or Inf.
        """
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self.where}: no slice {position}; there are {len(self)}, counted from 0")
        position %= len(self)
        slice_ = self.source[position].to(self.dtype)
        if tuple(slice_.shape) != self.shape[1:]:
            raise FileFormatError(
                f"{self.where}: slice {position} has shape {tuple(slice_.shape)}, but {self.shape[1:]} was declared; "
                "the file changed or is damaged"
            )
        _require_finite(slice_, f"{self.where}: slice {position}")
        return slice_

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def window(self, start: int, stop: int) -> Slices:
        """Slices `start` to `stop` - 1 as a stack of their own."""
        return Slices(_Window(self.source, start, stop), self.dtype, self.where)

    def map(self, function: Callable[[Tensor], Tensor], item_shape: tuple[int, ...]) -> Slices:
        """Stack with a picklable `function` applied to each slice when it is read; `item_shape` is what it returns."""
        return Slices(_Mapped(self, function, item_shape), self.dtype, self.where)


def _require_finite(tensor: Tensor, where: str) -> None:
    """Refuse NaN and Inf, which one sum betrays; only a suspicious slice is counted."""
    if not torch.isfinite(tensor.sum().abs()):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise FileFormatError(
                f"{where} holds {bad} NaN or Inf samples of {tensor.numel()}; expected finite values; "
                "repair the data or leave this slice out"
            )
