"""HDF5 files from strangers: opened for one read, never beyond their own bytes, damage named."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.errors import FileFormatError, KascadeError

__all__ = [
    "H5Source",
    "check_complex_dataset",
    "check_file",
    "check_hdf5",
    "check_storage",
    "dataset_names",
    "is_hdf5",
    "local_dataset",
    "open_hdf5",
]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_COMPLEX_FIELDS = ({"r", "i"}, {"real", "imag"})
_MAX_COMPRESSION = 2048  # twice what deflate can reach; a data set that declares more is not there
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, NotImplementedError, MemoryError)


def check_file(path: Path) -> None:
    """Refuse what cannot be read as a file, before any reader looks at it.

    Raises
    ------
    FileFormatError
        If `path` is absent, a folder, no regular file, not permitted, or empty.
    """
    try:
        if path.is_dir():
            raise FileFormatError(f"{path}: a folder; expected one file (commands take folders where that makes sense)")
        if not path.exists():
            raise FileFormatError(f"{path}: no such file")
        if not path.is_file():
            raise FileFormatError(f"{path}: not a regular file; expected k-space in a file")
        with path.open("rb") as file:
            if not file.read(1):
                raise FileFormatError(f"{path}: empty file; copy it again")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether the file's content carries the HDF5 signature: at byte 0, 512, 1024, 2048, ... as the format says."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset = 0
            while offset + len(SIGNATURE) <= size:
                file.seek(offset)
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    return True
                offset = offset * 2 or 512
    except OSError:
        return False
    return False


def check_hdf5(path: Path) -> None:
    """Refuse a file that cannot be read or is no HDF5.

    Raises
    ------
    FileFormatError
        Saying which.
    """
    check_file(path)
    if not is_hdf5(path):
        raise FileFormatError(f"{path}: not HDF5, whatever its name says (no signature); copy or convert it again")


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for one read; what HDF5 raises in the block is reported as damage of the file.

    Raises
    ------
    FileFormatError
        If the file cannot be read, is no HDF5, truncated or damaged.
    """
    check_hdf5(path)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            yield file
    except KascadeError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{path}: truncated or damaged HDF5 file ({reason[:200]}); copy it again") from error


def dataset_names(file: h5py.File) -> list[str]:
    """List the data sets of a file with their shapes, for messages; links that leave the file are not followed."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(f"{name} {item.shape}")

    file.visititems(visit)
    return found


def local_dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Get data set `name` of the top level, if there is one and its bytes lie in this very file.

    Raises
    ------
    FileFormatError
        If it is a group, an external link, a soft link to anything but a neighbor, or its samples lie in other files.
    """
    where = f"{file.filename}: {name}"
    target = name
    for _ in range(4):
        link = file.get(target, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.HardLink):
            break
        if isinstance(link, h5py.ExternalLink) or "/" in link.path.strip("/"):
            raise FileFormatError(
                f"{where} is a link out of this place; for safety only data in the file itself is read"
            )
        target = link.path.strip("/")
    else:
        raise FileFormatError(f"{where} is a chain of links; expected a data set")
    item = file[target]
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(f"{where} is a {type(item).__name__.lower()}; expected a data set")
    if item.external or item.is_virtual:
        raise FileFormatError(
            f"{where} keeps its samples in other files; for safety only data in the file itself is read"
        )
    return item


def check_storage(dataset: h5py.Dataset, where: str) -> None:
    """Refuse a shape that promises more than the file can hold, before anything is allocated.

    Raises
    ------
    FileFormatError
        If an axis is empty, or the declared size is out of proportion to the bytes stored.
    """
    if dataset.shape is None or min(dataset.shape, default=1) < 1:
        raise FileFormatError(f"{where} has shape {dataset.shape} and holds nothing; expected samples")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > stored * _MAX_COMPRESSION:
        raise FileFormatError(
            f"{where} declares shape {dataset.shape}, {declared} bytes, but {stored} bytes are stored; the file is "
            "damaged or was never filled"
        )


def check_complex_dataset(dataset: h5py.Dataset, where: str) -> None:
    """Refuse samples that are not complex: NumPy's complex types, or a compound (r, i) or (real, imag) of floats.

    Raises
    ------
    FileFormatError
        Naming the type found.
    """
    dtype = dataset.dtype
    if dtype.kind == "c":
        return
    if dtype.names is not None and set(dtype.names) in _COMPLEX_FIELDS:
        if all(dtype[name].kind == "f" for name in dtype.names):
            return
        kinds = ", ".join(f"{name}: {dtype[name]}" for name in dtype.names)
        raise FileFormatError(f"{where} has samples of compound type ({kinds}); expected floating-point parts")
    what = "compound type (" + ", ".join(dtype.names) + ")" if dtype.names else f"type {dtype}"
    hint = "; store real and imaginary part in one complex array" if dataset.shape[-1:] == (2,) else ""
    raise FileFormatError(
        f"{where} has samples of {what}; expected complex, or a compound (r, i) or (real, imag){hint}"
    )


@dataclass(frozen=True)
class H5Source:
    """Slices of one data set; the file is opened for each read and closed again: worker processes share nothing.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Data set at its top level, complex or real.
    stored : tuple of int
        Shape of the data set when the scan was made.
    shape : tuple of int
        Shape of the stack, slices first, after `order`; axes of length 1 may have been added.
    slice_axis : int or None
        Axis of `stored` that counts slices; None where all of it is one slice.
    order : tuple of int
        How the axes that are left are to be transposed; empty to leave them.
    """

    path: Path
    name: str
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    slice_axis: int | None = 0
    order: tuple[int, ...] = ()

    def __getitem__(self, index: int) -> Tensor:
        """Slice `index`, complex64 or float32."""
        part: tuple[int | slice, ...] = tuple(
            index if axis == self.slice_axis else slice(None) for axis in range(len(self.stored))
        )
        with open_hdf5(self.path) as file:
            dataset = local_dataset(file, self.name)
            if dataset is None or dataset.shape != self.stored:
                raise FileFormatError(f"{self.path}: {self.name} changed after the file was opened; load it anew")
            array = _plain(dataset[part])
        if self.order:
            array = array.transpose(self.order)
        return torch.from_numpy(np.ascontiguousarray(array).reshape(self.shape[1:]))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Array as complex64 or float32; what these cannot hold becomes Inf, which is refused later."""
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype.names:
            real, imag = sorted(array.dtype.names, reverse=True)  # r, i or real, imag
            compound, array = array, np.empty(array.shape, np.complex64)
            array.real, array.imag = compound[real], compound[imag]
        return np.asarray(array, dtype=np.complex64 if array.dtype.kind == "c" else np.float32)
