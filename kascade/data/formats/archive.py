"""Files that hold several named arrays (npz, mat): which one is k-space, and what else is taken along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kascade.data.formats.arrays import ArraySource, LazyArray, check_complex
from kascade.data.formats.axes import AXES, AXES_FOR_3, choose_axes
from kascade.data.scan import Scan
from kascade.data.slices import SharedSource, SliceSource
from kascade.errors import FileFormatError, ShapeError

__all__ = ["WANTED", "pick_kspace", "scan_of"]

WANTED = ("kspace", "mask", "maps")


def pick_kspace(path: Path, arrays: Mapping[str, LazyArray]) -> str:
    """Name of the k-space: `kspace` if there, else the only complex array that is not `maps`.

    Raises
    ------
    FileFormatError
        If there is none or more than one; lists what there is.
    """
    if "kspace" in arrays:
        return "kspace"
    found = [name for name, array in arrays.items() if array.dtype.kind == "c" and name not in WANTED]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in sorted(arrays.items())[:20])
    what = f"{len(found)} complex arrays" if found else "no complex array"
    raise FileFormatError(
        f"{path}: {what} and none called kspace; it holds {listed or 'no numeric array'}; call the k-space kspace"
    )


def scan_of(
    path: Path,
    kspace: LazyArray,
    axes: str | None,
    mask: LazyArray | None = None,
    maps: LazyArray | None = None,
    candidates: Sequence[str] = AXES_FOR_3,
) -> Scan:
    """Scan of the arrays of one file.

    Parameters
    ----------
    path : Path
        The file, which also gives the name.
    kspace : LazyArray
        Complex, axes in any order.
    axes : str or None
        The `--axes` option.
    mask : LazyArray, optional
        Real: one value per column, or rows and columns in the order of `kspace`; axes of length 1 do not matter.
    maps : LazyArray, optional
        Complex, axes in the order of `kspace`, with or without slice; several sets come before the others but
        slice, or after them where coil is the last of `kspace`. Maps shaped like `kspace` are those of each slice.
    candidates : sequence of str
        What three axes may mean, for the message.

    Returns
    -------
    Scan

    Raises
    ------
    FileFormatError
        If an array has the wrong type or does not fit.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    where = str(path)
    check_complex(kspace.dtype, where)
    names = choose_axes(kspace.shape, axes, where, candidates)
    source = ArraySource(kspace, names)
    try:
        return Scan.from_source(
            source,
            name=path.stem,
            path=path,
            mask=None if mask is None else _mask_of(mask, names, where),
            maps=None if maps is None else _maps_of(maps, kspace.shape, names, source.shape[0], where),
        )
    except ShapeError as error:
        raise FileFormatError(f"{where}: {error}") from error


def _mask_of(mask: LazyArray, names: Sequence[str], where: str) -> NDArray[np.float32]:
    """Bring a stored mask to (columns,) or (rows, columns); whether its lengths fit is checked by the scan."""
    if mask.dtype.kind not in "biuf":
        raise FileFormatError(f"{where}: mask is {mask.dtype}; expected 0 and 1")
    array = np.asarray(mask.read(()), dtype=np.float32)
    order = [name for name in names if array.ndim == len(names) or name in ("rows", "columns")]
    plain = array.squeeze()
    if plain.ndim == 2:
        return plain if order.index("rows") < order.index("columns") else plain.T
    if plain.ndim == 1 and array.ndim == len(order) and array.shape[order.index("rows")] > 1:
        raise FileFormatError(f"{where}: mask {array.shape} varies along rows; store 1 x columns or rows x columns")
    return plain.reshape(-1) if plain.ndim == 0 else plain


def _maps_of(maps: LazyArray, shape: tuple[int, ...], names: Sequence[str], slices: int, where: str) -> SliceSource:
    """Source of the stored coil maps, for every slice or one for all."""
    check_complex(maps.dtype, f"{where}: maps")
    shared = tuple(name for name in names if name != "slice")
    sets_first = shared[-1] != "coil"
    with_sets = ("set", *shared) if sets_first else (*shared, "set")
    rank = len(maps.shape)
    if rank == len(shared):
        axes = shared
    elif rank == len(shared) + 1:
        axes = tuple(names) if maps.shape == shape else with_sets
    elif rank == len(shared) + 2:
        axes = ("slice", *with_sets) if sets_first else (*with_sets, "slice")
    else:
        raise FileFormatError(f"{where}: maps have shape {maps.shape}; expected the axes {','.join(names)}")
    order = tuple(name for name in ("slice", "set", *AXES[1:]) if name != "set" or "set" in axes)
    source = ArraySource(maps, axes, order)
    return source if "slice" in axes else SharedSource(source[0], slices)
