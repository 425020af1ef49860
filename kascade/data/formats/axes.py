"""Which axis of a file's array is what: the `--axes` option, and the rules where it is not given."""

from __future__ import annotations

from collections.abc import Sequence

from kascade.errors import ConfigError, FileFormatError

__all__ = ["AXES", "AXES_FOR_3", "choose_axes", "parse_axes"]

AXES = ("slice", "coil", "rows", "columns")
AXES_FOR_3 = ("coil,rows,columns", "slice,rows,columns")


def parse_axes(text: str) -> tuple[str, ...]:
    """Read the `--axes` option.

    Parameters
    ----------
    text : str
        Names of the axes of the file's array in its order, comma-separated: ``rows`` (readout), ``columns`` (phase
        encoding) and, where the array has them, ``coil`` and ``slice``.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    ConfigError
        For an unknown or repeated name, or without rows or columns.
    """
    names = tuple(part.strip().lower() for part in text.split(","))
    unknown = [name for name in names if name not in AXES]
    if unknown:
        raise ConfigError(f"axes {text!r}: unknown axis {unknown[0]!r}; expected names out of {','.join(AXES)}")
    repeated = [name for name in AXES if names.count(name) > 1]
    if repeated:
        raise ConfigError(f"axes {text!r}: {repeated[0]} is named {names.count(repeated[0])} times; name it once")
    missing = [name for name in ("rows", "columns") if name not in names]
    if missing:
        raise ConfigError(f"axes {text!r}: {' and '.join(missing)} missing; name every axis of the array")
    return names


def choose_axes(
    shape: Sequence[int], axes: str | None, where: str, candidates: Sequence[str] = AXES_FOR_3
) -> tuple[str, ...]:
    """Name the axes of an array: as told, or by its rank where that can mean one thing only.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    axes : str or None
        The `--axes` option, see `parse_axes`.
    where : str
        File (and array) for the message.
    candidates : two str
        What three axes may mean, for the message.

    Returns
    -------
    tuple of str
        A name for each axis. Without `axes`: slice, coil, rows, columns for four; rows, columns for two.

    Raises
    ------
    ConfigError
        If `axes` is malformed or names more or fewer axes than there are.
    FileFormatError
        If an axis is empty, or the rank leaves open what the axes are.
    """
    if min(shape, default=0) < 1:
        raise FileFormatError(f"{where}: k-space of shape {tuple(shape)} holds nothing; expected (coil, rows, columns)")
    if axes is not None:
        names = parse_axes(axes)
        if len(names) != len(shape):
            raise ConfigError(f"axes {axes!r} names {len(names)} axes, but {where} has {len(shape)}: {tuple(shape)}")
        return names
    if len(shape) == 4:
        return AXES
    if len(shape) == 2:
        return ("rows", "columns")
    if len(shape) == 3:
        calls = " or ".join(f"--axes {call}" for call in candidates)
        raise FileFormatError(f"{where}: the 3 axes {tuple(shape)} can mean several things; say {calls}")
    raise FileFormatError(
        f"{where}: {len(shape)} axes {tuple(shape)}; expected 2 to 4 out of {','.join(AXES)}; drop the others first"
    )
