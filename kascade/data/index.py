"""Index of a folder: which scans it holds, found once, without touching what is not HDF5."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kascade.data.formats.hdf5 import check_hdf5, is_hdf5
from kascade.data.load import load
from kascade.data.scan import Scan
from kascade.errors import FileFormatError, KascadeError

__all__ = ["FolderIndex", "Problem", "index_folder"]

_HDF5_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Problem:
    """A file that should hold a scan but cannot be read, and why."""

    path: Path
    message: str


@dataclass(frozen=True)
class FolderIndex:
    """Scans of a folder, by file name; picklable, holds no open file.

    Attributes
    ----------
    folder : Path
        The folder.
    scans : tuple of Scan
        Readable files. Of each only shapes, header and mask are in memory.
    problems : tuple of Problem
        Files that are HDF5, or named so, and hold no readable scan.
    others : tuple of Path
        Files of other kinds, which were left alone.
    """

    folder: Path
    scans: tuple[Scan, ...]
    problems: tuple[Problem, ...]
    others: tuple[Path, ...]

    def __len__(self) -> int:
        """Slices in all scans."""
        return sum(len(scan) for scan in self.scans)

    def slices(self) -> Iterator[tuple[Scan, int]]:
        """Iterate over all slices: the scan and the number of the slice in it."""
        return ((scan, index) for scan in self.scans for index in range(len(scan)))


def index_folder(folder: str | os.PathLike[str]) -> FolderIndex:
    """List the scans of a folder (not of folders in it).

    Every file's first bytes are read; only those with the signature of HDF5 are opened. Hidden files are passed over.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    FolderIndex

    Raises
    ------
    FileFormatError
        If `folder` is no folder or cannot be listed.
    """
    folder = Path(folder)
    try:
        files = sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise FileFormatError(f"{folder}: not a readable folder ({error.strerror})") from error
    scans: list[Scan] = []
    problems: list[Problem] = []
    others: list[Path] = []
    for path in files:
        if not is_hdf5(path) and path.suffix.lower() not in _HDF5_SUFFIXES:
            others.append(path)
            continue
        try:
            check_hdf5(path)
            scans.append(load(path))
        except KascadeError as error:
            problems.append(Problem(path, str(error)))
    return FolderIndex(folder, tuple(scans), tuple(problems), tuple(others))
