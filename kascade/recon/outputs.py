"""Several output files that belong together: all of them appear, or none."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kascade.data.atomic import refuse_existing
from kascade.errors import OutputError

__all__ = ["all_or_none", "make_folder"]


def make_folder(folder: Path) -> None:
    """Create an output folder.

    Raises
    ------
    OutputError
        If that is impossible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made a folder ({error.strerror or error})") from error


@contextlib.contextmanager
def all_or_none(paths: Sequence[Path], force: bool = False) -> Iterator[list[Path]]:
    """Write files that appear together or not at all.

    The block writes each file at the place it is given, in a hidden folder beside its path; when it ends they are
    renamed to `paths`, in this order, and when it raises they are gone.

    Parameters
    ----------
    paths : sequence of Path
        Where the files shall appear, all of them different; their folders exist.
    force : bool
        Replace existing files.

    Yields
    ------
    list of Path
        Where to write them, each with the file name it will have.

    Raises
    ------
    OutputError
        If a file exists (and not `force`), or one cannot be written.
    """
    for path in paths:
        refuse_existing(path, force)
    staging: dict[Path, Path] = {}
    beside: list[Path] = []
    try:
        for folder in dict.fromkeys(path.parent for path in paths):
            staging[folder] = Path(tempfile.mkdtemp(prefix=f".{paths[0].stem[:80]}.", suffix=".part", dir=folder))
        beside = [staging[path.parent] / str(index) / path.name for index, path in enumerate(paths)]
        for file in beside:
            file.parent.mkdir()
        yield beside
        _publish(beside, paths, force)
    except OutputError as error:
        raise OutputError(_with_final_names(str(error), beside, paths)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{paths[0]}: cannot be written ({reason}); nothing was left there") from error
    finally:
        for folder in staging.values():
            shutil.rmtree(folder, ignore_errors=True)


def _with_final_names(message: str, beside: Sequence[Path], paths: Sequence[Path]) -> str:
    """Name the file that the user asked for, not the one beside it."""
    for place, path in zip(beside, paths, strict=False):
        message = message.replace(str(place), str(path))
    return message


def _publish(beside: Sequence[Path], paths: Sequence[Path], force: bool) -> None:
    """Rename every file to its place; where one fails, take back those before it that replaced nothing."""
    new = [path for path in paths if not os.path.lexists(path)]
    done: list[Path] = []
    try:
        for source, path in zip(beside, paths, strict=True):
            refuse_existing(path, force)  # another process may have been quicker
            os.replace(source, path)
            done.append(path)
    except BaseException:
        for path in done:
            if path in new:
                path.unlink(missing_ok=True)
        raise
