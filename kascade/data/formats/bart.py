"""BART files: a `.hdr` text with the dimensions beside a `.cfl` of complex64 samples in Fortran order."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from kascade.data.formats.arrays import ArraySource, MappedArray
from kascade.data.formats.axes import choose_axes
from kascade.data.scan import Scan
from kascade.errors import FileFormatError

__all__ = ["matches", "read"]

# The names of bart's own misc/mri.h.
_DIMENSIONS = (
    *("READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2"),
    *("ITER", "CSHIFT", "TIME", "TIME2", "LEVEL", "SLICE", "AVG", "BATCH"),
)
_COIL, _SLICE = 3, 13
_MAX_HEADER_BYTES = 1 << 16


def matches(path: str | os.PathLike[str]) -> bool:
    """Whether `path` names a BART pair: its `.cfl` (which has no mark of its own), its `.hdr`, or their common stem."""
    path = Path(path)
    if path.suffix == ".cfl":
        return True
    if path.suffix != ".hdr" and path.exists():
        return False
    try:
        with _pair(path)[1].open("rb") as file:
            return file.read(12) == b"# Dimensions"
    except OSError:
        return False


def read(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Read a BART pair; samples are mapped when a slice is asked for.

    Parameters
    ----------
    path : path
        The `.cfl`, the `.hdr` or the stem.
    axes : str, optional
        Names of the dimensions longer than 1, in the order of the file. Without it BART's meaning of the dimensions
        holds: the first two longer than 1 of dims 0 to 2 are rows and columns, dim 3 is coil, and the third of dims
        0 to 2, or dim 13, is slice.

    Returns
    -------
    Scan
        Its notes say where the second phase encoding (dim 2) was taken as slices.

    Raises
    ------
    FileFormatError
        If one of the two files is missing or damaged, they do not fit each other, or there are other dimensions.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    cfl, hdr = _pair(Path(path))
    if not cfl.exists() and not hdr.exists():
        raise FileFormatError(f"{cfl}: no such file; expected a BART pair of .cfl and .hdr")
    dims = _read_dimensions(hdr)
    _check_size(cfl, dims)
    long = [d for d, length in enumerate(dims) if length > 1]
    shape = tuple(dims[d] for d in long)
    names = _names_of_bart(dims, long, hdr) if axes is None else choose_axes(shape, axes, str(hdr))
    notes = []
    if axes is None and all(n > 1 for n in dims[:3]):
        notes.append(
            f"dims 0 to 2 are {dims[:3]}: the last is taken as slices; if it is the second phase encoding of a 3-D "
            "scan, transform it first: bart fft -i -u 4 IN OUT"
        )
    array = MappedArray(cfl, shape, np.dtype("<c8"), order="F")
    return Scan.from_source(ArraySource(array, names), name=cfl.stem, path=cfl, notes=notes)


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the `.cfl` and the `.hdr`; a stem may hold dots."""
    stem = path.name[:-4] if path.suffix in (".cfl", ".hdr") else path.name
    return path.with_name(f"{stem}.cfl"), path.with_name(f"{stem}.hdr")


def _read_dimensions(hdr: Path) -> tuple[int, ...]:
    """Parse the line after `# Dimensions`."""
    try:
        with hdr.open("rb") as file:
            lines = file.read(_MAX_HEADER_BYTES).decode("ascii", errors="replace").splitlines()
    except FileNotFoundError as error:
        raise FileFormatError(f"{hdr}: missing; a BART file is a pair of .cfl and .hdr, copy both") from error
    except OSError as error:
        raise FileFormatError(f"{hdr}: cannot be read ({error.strerror})") from error
    try:
        line = lines[lines.index("# Dimensions") + 1]
        dims = tuple(int(word) for word in line.split())
    except (ValueError, IndexError) as error:
        raise FileFormatError(f"{hdr}: no line of integers after '# Dimensions'; not a BART header") from error
    if not dims or min(dims) < 1:
        raise FileFormatError(f"{hdr}: dimensions {line.strip()[:80]!r}; expected positive integers")
    return dims + (1,) * (len(_DIMENSIONS) - len(dims))


def _check_size(cfl: Path, dims: tuple[int, ...]) -> None:
    """Compare with what the header promises, before anything is allocated."""
    try:
        size = cfl.stat().st_size
    except OSError as error:
        raise FileFormatError(f"{cfl}: missing; a BART file is a pair of .cfl and .hdr, copy both") from error
    expected = 8 * math.prod(dims)
    if size != expected:
        what = "truncated" if size < expected else "too long"
        raise FileFormatError(f"{cfl}: {what}: {size} bytes, but its .hdr asks for {expected}; copy both files again")


def _names_of_bart(dims: tuple[int, ...], long: list[int], hdr: Path) -> tuple[str, ...]:
    """Name the dimensions `long` (those above 1) by BART's convention."""
    spatial = [d for d in long if d < _COIL]
    other = [d for d in long if d > _COIL and d != _SLICE]
    if other:
        listed = ", ".join(f"dim {d} ({_label(d)}) = {dims[d]}" for d in other)
        raise FileFormatError(f"{hdr}: {listed}; expected rows, columns, coils (3), slices (13): bart slice one out")
    if len(spatial) < 2:
        raise FileFormatError(f"{hdr}: dims 0 to 2 are {dims[:3]}; expected at least two longer than 1")
    if len(spatial) == 3 and _SLICE in long:
        raise FileFormatError(
            f"{hdr}: both dim {spatial[2]} = {dims[spatial[2]]} and dim {_SLICE} (SLICE) = {dims[_SLICE]} could be "
            "slices; bart slice one of them out"
        )
    names = {spatial[0]: "rows", spatial[1]: "columns", _COIL: "coil", _SLICE: "slice"}
    return tuple(names.get(d, "slice") for d in long)


def _label(dim: int) -> str:
    return _DIMENSIONS[dim] if dim < len(_DIMENSIONS) else "beyond BART's 16"
