"""Output files appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kascade.errors import KascadeError, OutputError

__all__ = ["atomic_output", "refuse_existing"]


def refuse_existing(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse an output path that cannot or must not be written; to be called before long work begins.

    Parameters
    ----------
    path : path
        File that will be written.
    force : bool
        An existing file may be replaced.

    Raises
    ------
    OutputError
        If the file exists (and not `force`), is a folder, or its folder is missing.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name an output file")
        if os.path.lexists(path) and not force:
            raise OutputError(f"{path}: exists already; use --force (force=True) to replace it")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: cannot be written, there is no folder {path.parent}; create it first")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error


@contextmanager
def atomic_output(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """Write a file whole or not at all.

    Use as ``with atomic_output("out.h5") as beside: write(beside)``: the block writes the file `beside`, a hidden one
    in the same folder, which is renamed to `path` when the block ends and deleted when it raises.

    Parameters
    ----------
    path : path
        Where the file shall appear.
    force : bool
        Replace an existing file; until the new one is complete the old one stays.

    Yields
    ------
    Path
        The file to write.

    Raises
    ------
    OutputError
        If the file exists (and not `force`), its folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    refuse_existing(path, force)
    beside = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:12]}.part")
    try:
        try:
            yield beside
            _flush_to_disk(beside)
            refuse_existing(path, force)  # another process may have been quicker
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except KascadeError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)}); nothing was left there") from error


def _flush_to_disk(path: Path) -> None:
    """Have the bytes on the disk before the name: a crash must not leave an empty file of that name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror if error.strerror and error.filename is not None else " ".join(str(error).split())[:200]
