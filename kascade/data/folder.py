"""The files of a folder, as all that works on folders lists them."""

from __future__ import annotations

from pathlib import Path

from kascade.errors import FileFormatError

__all__ = ["visible_files"]


def visible_files(folder: Path) -> list[Path]:
    """List the files of a folder by name: neither hidden ones nor folders.

    Raises
    ------
    FileFormatError
        If `folder` is no folder or cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise FileFormatError(f"{folder}: not a readable folder ({error.strerror})") from error
