"""fastMRI's HDF5 files, knee and brain, single- and multi-coil, and HDF5 files that hold only `kspace`: the reader.

Layout as in the fastMRI data set (Zbontar et al., arXiv:1811.08839) and its package's ``SliceDataset``; of Kascade's
own are the data sets `kascade_mask` (2-D), `maps`, `shot`, `motion`, `noise` and `noise_covariance`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from kascade.data.formats.axes import AXES, choose_axes
from kascade.data.formats.hdf5 import (
    H5Source,
    check_complex_dataset,
    check_storage,
    dataset_names,
    is_hdf5,
    local_dataset,
    open_hdf5,
)
from kascade.data.formats.header_xml import parse_header
from kascade.data.header import Header
from kascade.data.scan import Scan
from kascade.data.slices import Slices, SliceSource
from kascade.errors import FileFormatError, ShapeError

__all__ = ["MOTION_UNITS", "matches", "read", "read_images", "read_maps"]

MOTION_UNITS = "px,deg"
_SINGLE_COIL_AXES = ("slice", "rows", "columns")


def matches(path: str | os.PathLike[str]) -> bool:
    """Whether the file is HDF5; more particular HDF5 readers must be asked before this one."""
    return is_hdf5(path)


def read(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Read a fastMRI file; k-space is read when a slice is asked for.

    Parameters
    ----------
    path : path
        An HDF5 file with the data set `kspace`: (slices, coil, rows, columns), or (slices, rows, columns) for one
        coil.
    axes : str, optional
        Names of the axes of `kspace` if they are others, such as ``coil,rows,columns``.

    Returns
    -------
    Scan
        With all that the file stores; the mask is 0 in columns outside the header's encoding limits.

    Raises
    ------
    FileFormatError
        If the file is damaged, has no complex `kspace`, or its parts do not fit each other.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        kspace = _kspace(file, path, axes)
        slices, coils = kspace.shape[:2]
        target_name, targets = _targets(file, path, coils)
        mask = _array(file, path, "kascade_mask", "biuf")
        if mask is None:
            mask = _array(file, path, "mask", "biuf")
            mask = None if mask is None else mask.reshape([n for n in mask.shape if n > 1] or [1])
        try:
            return Scan.from_source(
                kspace,
                name=path.name.removesuffix(".h5").removesuffix(".hdf5"),
                path=path,
                mask=mask,
                maps=_maps(file, path, slices),
                targets=targets,
                target_name=target_name,
                shots=_array(file, path, "shot", "iu"),
                motion=_motion(file, path),
                noise=_array(file, path, "noise", "c"),
                noise_covariance=_array(file, path, "noise_covariance", "c"),
                header=_header(file, path),
                attributes=_attributes(file.attrs),
            )
        except ShapeError as error:
            raise FileFormatError(f"{path}: {error}") from error


def read_images(path: str | os.PathLike[str], names: tuple[str, ...] = ("reconstruction",)) -> Slices:
    """Open stored images: a reconstruction, or the target of a fastMRI file.

    Parameters
    ----------
    path : path
        HDF5 file.
    names : tuple of str
        Data sets to look for, such as ``("reconstruction_rss", "reconstruction_esc")``; the first there is taken.

    Returns
    -------
    Slices
        ``images[i]``, (rows, columns), float32, or complex64 where the data set is complex.

    Raises
    ------
    FileFormatError
        If the file is damaged or has none of them, or it is not (slices, rows, columns).
    """
    path = Path(path)
    with open_hdf5(path) as file:
        for name in names:
            dataset = local_dataset(file, name)
            if dataset is not None:
                source = _images(dataset, path, name)
                dtype = torch.float32 if dataset.dtype.kind == "f" else torch.complex64
                return Slices(source, dtype, f"{path}: {name}")
        held = ", ".join(dataset_names(file)) or "nothing"
    raise FileFormatError(f"{path}: no data set {' or '.join(names)}; it holds {held}")


def read_maps(path: str | os.PathLike[str], slices: int) -> SliceSource:
    """Open coil maps: data set `maps`, (coil, rows, columns) for every slice or (slices, [set,] coil, rows, columns).

    Raises
    ------
    FileFormatError
        If the file is damaged or has no complex `maps`.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        source = _maps(file, path, slices)
        held = ", ".join(dataset_names(file)) or "nothing"
    if source is None:
        raise FileFormatError(f"{path}: no data set maps; it holds {held}")
    return source


def _kspace(file: h5py.File, path: Path, axes: str | None) -> H5Source:
    """Source of (slices, coil, rows, columns) whatever the order and number of the stored axes."""
    where = f"{path}: kspace"
    dataset = local_dataset(file, "kspace")
    if dataset is None:
        held = ", ".join(dataset_names(file)) or "nothing"
        raise FileFormatError(f"{path}: no data set kspace; it holds {held}")
    check_complex_dataset(dataset, where)
    shape = tuple(int(n) for n in dataset.shape or ())
    if axes is None and len(shape) not in (3, 4):
        raise FileFormatError(
            f"{where} has shape {shape}; expected (slices, coil, rows, columns) or, for one coil, without it"
        )
    check_storage(dataset, where)
    names = _SINGLE_COIL_AXES if axes is None and len(shape) == 3 else choose_axes(shape, axes, where)
    length = dict(zip(names, shape, strict=True))
    left = [name for name in names if name != "slice"]
    return H5Source(
        path,
        "kspace",
        stored=shape,
        shape=tuple(length.get(name, 1) for name in AXES),
        slice_axis=names.index("slice") if "slice" in names else None,
        order=tuple(left.index(name) for name in AXES if name in left),
    )


def _images(dataset: h5py.Dataset, path: Path, name: str) -> H5Source:
    """Source of (slices, rows, columns)."""
    where = f"{path}: {name}"
    if dataset.ndim != 3:
        raise FileFormatError(f"{where} has shape {dataset.shape}; expected (slices, rows, columns)")
    if dataset.dtype.kind != "f":
        check_complex_dataset(dataset, where)
    check_storage(dataset, where)
    return H5Source(path, name, dataset.shape, dataset.shape)


def _targets(file: h5py.File, path: Path, coils: int) -> tuple[str | None, H5Source | None]:
    """Find the target: ESC for one coil, RSS for several, as fastMRI's challenges; the other where that is missing."""
    names = ("reconstruction_rss", "reconstruction_esc")
    for name in names if coils > 1 else names[::-1]:
        dataset = local_dataset(file, name)
        if dataset is not None:
            if dataset.dtype.kind != "f":
                raise FileFormatError(f"{path}: {name} has samples of type {dataset.dtype}; expected floating point")
            return name, _images(dataset, path, name)
    return None, None


def _maps(file: h5py.File, path: Path, slices: int) -> H5Source | None:
    dataset = local_dataset(file, "maps")
    if dataset is None:
        return None
    where = f"{path}: maps"
    check_complex_dataset(dataset, where)
    if dataset.ndim not in (3, 4, 5):
        raise FileFormatError(f"{where} have shape {dataset.shape}; expected (slices, [set,] coil, rows, columns)")
    check_storage(dataset, where)
    if dataset.ndim == 3:
        return H5Source(path, "maps", dataset.shape, (slices, *dataset.shape), slice_axis=None)
    return H5Source(path, "maps", dataset.shape, dataset.shape)


_KINDS = {"b": "truth values", "i": "whole numbers", "f": "floating point numbers", "c": "complex numbers"}


def _array(file: h5py.File, path: Path, name: str, kinds: str) -> NDArray[Any] | None:
    """Small data set, read whole; its type must be of one of NumPy's `kinds`."""
    dataset = local_dataset(file, name)
    if dataset is None:
        return None
    if dataset.dtype.kind not in kinds:
        expected = " or ".join(_KINDS[kind] for kind in kinds if kind in _KINDS)
        raise FileFormatError(f"{path}: {name} has values of type {dataset.dtype}; expected {expected}")
    check_storage(dataset, f"{path}: {name}")
    array = np.asarray(dataset[()])
    native = array.dtype.newbyteorder("=")
    return np.asarray(array, dtype=np.int64 if native.kind in "u" else native)


def _motion(file: h5py.File, path: Path) -> NDArray[Any] | None:
    """Rigid motion per shot; without its units the numbers mean nothing."""
    array = _array(file, path, "motion", "fiu")
    if array is not None:
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
        units = file["motion"].attrs.get("units")
        text = units.decode(errors="replace") if isinstance(units, bytes) else units
        if not isinstance(text, str) or text != MOTION_UNITS:
            raise FileFormatError(f"{path}: motion has units {units!r}; expected the attribute units={MOTION_UNITS!r}")
    return array


def _header(file: h5py.File, path: Path) -> Header:
    """Parse `ismrmrd_header`, a string or an array that holds one."""
    dataset = local_dataset(file, "ismrmrd_header")
    if dataset is None:
        return Header()
    where = f"{path}: ismrmrd_header"
    check_storage(dataset, where)
    value = dataset[()] if dataset.size == 1 else None
    if isinstance(value, np.ndarray):
        value = value.item()
    if not isinstance(value, bytes | str):
        raise FileFormatError(f"{where} is {dataset.dtype} of shape {dataset.shape}; expected one string of XML")
    return parse_header(value, where)


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as plain Python values; empty ones and references are left out."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        if isinstance(plain, bytes):
            plain = plain.decode("utf-8", errors="replace")
        if isinstance(plain, str | int | float | list):
            found[name] = plain
    return found
