"""`convert`: a k-space file of any known format becomes a fastMRI-style HDF5 file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from kascade.data.atomic import refuse_existing
from kascade.data.formats.fastmri_write import write_scan
from kascade.data.load import load
from kascade.data.scan import Scan
from kascade.errors import ConfigError, FileFormatError

__all__ = ["concentration", "convert"]

# Share of the energy in the central half of an axis: 0.91 and more in measured heads, 0.5 of white noise or coils.
_CENTERED = 0.75


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], axes: str | None = None, force: bool = False
) -> Scan:
    """Convert a k-space file; nothing but the finished `.h5` appears in its folder.

    Parameters
    ----------
    source : path
        Any file that `kascade.data.load` reads.
    destination : path
        An `.h5` file, or an existing folder, in which it gets the name of the source.
    axes : str, optional
        Names of the axes of the source where its format leaves them open, such as ``coil,rows,columns``.
    force : bool
        Replace an existing file.

    Returns
    -------
    Scan
        The new file. Its notes are those of the reader, and say so if k-space does not look centered.

    Raises
    ------
    FileFormatError
        If the source cannot be read, or a slice of it holds NaN or Inf.
    ConfigError
        If `axes` does not fit, or `destination` is neither `.h5` nor a folder.
    OutputError
        If the destination exists (and not `force`) or cannot be written.
    """
    target = Path(destination)
    if not target.is_dir() and target.suffix != ".h5":
        raise ConfigError(f"{target}: expected the name of an .h5 file, or an existing folder")
    scan = load(source, axes)
    if target.is_dir():
        target = target / f"{scan.name}.h5"
    refuse_existing(target, force)
    notes = (*scan.notes, *_layout_notes(scan))
    write_scan(scan, target, force)
    written = load(target)
    if written.kspace.shape != scan.kspace.shape:
        raise FileFormatError(
            f"{target}: reads back as {written.kspace.shape}, not {scan.kspace.shape} as the source; "
            "is something else writing there?"
        )
    return replace(written, notes=notes)


def concentration(scan: Scan) -> tuple[float, float]:
    """Share of the energy of the middle slice that lies in the central half of its rows, and of its columns.

    Returns
    -------
    tuple of float
        Near 1 for k-space with its center in the middle, near 0 where it is in the corner, about 0.5 along an axis
        that is no k-space axis; 0 for an all-zero slice.
    """
    energy = scan.kspace[len(scan) // 2].abs().double().square().sum(dim=0)
    total = float(energy.sum()) or 1.0
    rows, columns = energy.shape
    central_rows = energy[rows // 4 : rows - rows // 4]
    central_columns = energy[:, columns // 4 : columns - columns // 4]
    return float(central_rows.sum()) / total, float(central_columns.sum()) / total


def _layout_notes(scan: Scan) -> list[str]:
    """Say so if k-space looks as if its axes were wrong or its center were not in the middle."""
    shares = concentration(scan)
    if not any(shares):
        return []
    return [
        f"only {share:.0%} of the energy lies in the central half of the {name}: k-space must be centered (fftshift it "
        "if not), and the axes named right (--axes)"
        for name, share in zip(("rows", "columns"), shares, strict=True)
        if share < _CENTERED
    ]
