"""Which files of a folder hold k-space to reconstruct or convert, and the name that each of their results gets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kascade.data.folder import visible_files
from kascade.data.formats.hdf5 import is_hdf5
from kascade.errors import ConfigError, FileFormatError

__all__ = ["SourceFiles", "find_sources", "result_name"]

_SUFFIXES = (".h5", ".hdf5", ".cfl", ".npy", ".npz", ".mat")


@dataclass(frozen=True)
class SourceFiles:
    """What `find_sources` found: the files to work on, and those that hold no k-space by their name."""

    files: tuple[Path, ...]
    ignored: tuple[Path, ...]


def find_sources(paths: list[Path]) -> SourceFiles:
    """List the k-space files that `paths` name: files as they are, of folders every file of a known kind.

    Parameters
    ----------
    paths : list of Path
        Files and folders. Folders in folders and hidden files are passed over.

    Returns
    -------
    SourceFiles

    Raises
    ------
    FileFormatError
        If a folder cannot be listed, or holds no file of a known kind.
    ConfigError
        If two files would give results of the same name.
    """
    files: list[Path] = []
    ignored: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        here, others = _list_folder(path)
        if not here:
            raise FileFormatError(f"{path}: no k-space in this folder; expected files {', '.join(_SUFFIXES)}")
        files += here
        ignored += others
    by_name: dict[str, Path] = {}
    for file in files:
        other = by_name.setdefault(result_name(file), file)
        if other is not file:
            raise ConfigError(f"{other} and {file} would both be written as {result_name(file)}; rename one of them")
    return SourceFiles(tuple(files), tuple(ignored))


def result_name(path: str | os.PathLike[str]) -> str:
    """File name without the suffix of its format: what results are called."""
    path = Path(path)
    return path.stem if path.suffix.lower() in (*_SUFFIXES, ".hdr") else path.name


def _list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    files = visible_files(folder)
    here = [path for path in files if path.suffix.lower() in _SUFFIXES or is_hdf5(path)]
    headers = {path.with_suffix(".hdr") for path in here if path.suffix == ".cfl"}
    return here, [path for path in files if path not in here and path not in headers]
