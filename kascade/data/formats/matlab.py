"""MATLAB files: v5 (`save -v6`, `-v7`) and v7.3 (HDF5), both with the axes in the order that MATLAB shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kascade.data.formats.archive import pick_kspace, scan_of
from kascade.data.formats.arrays import LazyArray
from kascade.data.formats.axes import AXES_FOR_3
from kascade.data.formats.hdf5 import check_storage, is_hdf5, local_dataset, open_hdf5
from kascade.data.formats.mat5 import numeric_arrays
from kascade.data.scan import Scan
from kascade.errors import FileFormatError

__all__ = ["matches", "read"]

_HEADER_BYTES = 128
_CANDIDATES = ("rows,columns,coil", "rows,columns,slice", *AXES_FOR_3)


def matches(path: str | os.PathLike[str]) -> bool:
    """Whether the file has a MATLAB header, or is HDF5 with an array that carries MATLAB's class attribute."""
    return _version(Path(path)) is not None


def read(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Read k-space from a MATLAB file.

    Parameters
    ----------
    path : path
        The file. Of several arrays `kspace` is taken, or the only complex one; `mask` and `maps` are taken along.
    axes : str, optional
        Names of the axes in the order of MATLAB's ``size``, such as ``rows,columns,coil,slice``; for a v7.3 file as
        well, though HDF5 holds them reversed. Without it four axes are slice, coil, rows, columns if rows and
        columns are then the longest; MATLAB drops trailing axes of length 1.

    Returns
    -------
    Scan
        Slices of a v7.3 file are read when asked for; an array of a v5 file is read whole at the first of them.

    Raises
    ------
    FileFormatError
        If the file is damaged, has no complex numeric array, or its axes are not clear.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    path = Path(path)
    arrays: Mapping[str, LazyArray] = _arrays_v73(path) if _version(path) == "7.3" else numeric_arrays(path)
    name = pick_kspace(path, arrays)
    shape = arrays[name].shape
    if axes is None and len(shape) == 4 and max(shape[:2]) > min(shape[2:]):
        raise FileFormatError(
            f"{path}: {name} has axes {shape}; say --axes rows,columns,coil,slice or --axes slice,coil,rows,columns"
        )
    return scan_of(path, arrays[name], axes, mask=arrays.get("mask"), maps=arrays.get("maps"), candidates=_CANDIDATES)


def _version(path: Path) -> str | None:
    """Return "5", "7.3" or None for another file."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        if header.startswith(b"MATLAB 7.3 MAT-file"):
            return "7.3"
        if header.startswith(b"MATLAB 5.0 MAT-file"):
            return "5"
        if is_hdf5(path):
            with h5py.File(path, "r") as file:
                local = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
                return "7.3" if any("MATLAB_class" in file[name].attrs for name in local) else None
    except (OSError, KeyError, RuntimeError, ValueError):
        return None
    return None


def _arrays_v73(path: Path) -> dict[str, LazyArray]:
    """Numeric arrays at the top of the file by name, in MATLAB's order of axes."""
    arrays: dict[str, LazyArray] = {}
    with open_hdf5(path) as file:
        local = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        for name in local:
            if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind not in "biufcV":
                continue
            dataset = local_dataset(file, name)
            if dataset is not None and "MATLAB_empty" not in dataset.attrs:
                check_storage(dataset, f"{path}: {name}")
                arrays[name] = _ArrayV73(path, name, dataset.shape[::-1], _complex_of(dataset.dtype))
    return arrays


@dataclass(frozen=True)
class _ArrayV73:
    """HDF5 array seen with its axes reversed; the file is open for the time of one read only."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Copy of the part `index`, whose axes are in MATLAB's order."""
        with open_hdf5(self.path) as file:
            dataset = local_dataset(file, self.name)
            if dataset is None or dataset.shape != self.shape[::-1]:
                raise FileFormatError(f"{self.path}: {self.name} changed after the file was opened; load it anew")
            part = np.asarray(dataset[index[::-1]])
        if part.dtype.names:
            compound, part = part, np.empty(part.shape, self.dtype)
            part.real, part.imag = compound["real"], compound["imag"]
        return part.T


def _complex_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the samples: MATLAB stores complex numbers as pairs (real, imag) of equal type."""
    if dtype.names == ("real", "imag") and dtype["real"] == dtype["imag"] and dtype["real"].kind == "f":
        return np.result_type(dtype["real"], np.complex64)
    return dtype
