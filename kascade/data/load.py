"""`load`: any k-space file there is a reader for, recognized by its content."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kascade.data.formats import bart, fastmri_h5, ismrmrd_raw, matlab, numpy_files
from kascade.data.formats.hdf5 import check_file
from kascade.data.scan import Scan
from kascade.errors import FileFormatError

__all__ = ["READERS", "Reader", "load"]


@dataclass(frozen=True)
class Reader:
    """One file format.

    Attributes
    ----------
    name : str
        The format, for users.
    matches : callable
        Whether a file is of this format; looks at its content and never raises for another format.
    read : callable
        Reads it: ``read(path, axes)``.
    """

    name: str
    matches: Callable[[Path], bool]
    read: Callable[[Path, str | None], Scan]


# Asked in this order: a MATLAB v7.3 and an ISMRMRD file are HDF5 too, so that fastMRI's reader comes last.
READERS = (
    Reader("BART cfl/hdr", bart.matches, bart.read),
    Reader("NumPy npy/npz", numpy_files.matches, numpy_files.read),
    Reader("MATLAB", matlab.matches, matlab.read),
    Reader("ISMRMRD", ismrmrd_raw.matches, ismrmrd_raw.read),
    Reader("fastMRI HDF5", fastmri_h5.matches, fastmri_h5.read),
)


def load(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Open a k-space file; samples are read when a slice is asked for.

    Parameters
    ----------
    path : path
        fastMRI-style HDF5, BART cfl/hdr (either of them, or their stem), NumPy npy or npz, MATLAB v5 or v7.3, ISMRMRD
        raw data. The content decides, not the name.
    axes : str, optional
        Names of the axes of the file's array where its format leaves them open, such as ``coil,rows,columns``.

    Returns
    -------
    Scan

    Raises
    ------
    FileFormatError
        If the file cannot be read or is of no known format.
    ConfigError
        If `axes` is malformed or does not fit.
    """
    path = Path(path)
    if os.path.lexists(path) or not os.path.isfile(f"{path}.hdr"):  # a BART pair may be named by its stem
        check_file(path)
    for reader in READERS:
        if reader.matches(path):
            return reader.read(path, axes)
    known = ", ".join(reader.name for reader in READERS)
    raise FileFormatError(f"{path}: of no known format (by its content); expected one of: {known}")
