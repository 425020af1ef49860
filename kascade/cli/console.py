"""What commands print: results on standard output, notes, warnings and progress on standard error."""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = [
    "ProgressBar",
    "error",
    "exit_if_failed",
    "facts",
    "note",
    "progress",
    "readable_warnings",
    "result",
    "result_json",
    "settings",
    "table",
    "warn",
]

WIDTH_WITHOUT_TERMINAL = 140

Item = TypeVar("Item")


@dataclass
class Settings:
    """What `--quiet` and `--debug` say for the running command."""

    quiet: bool = False
    debug: bool = False


settings = Settings()


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)


def result(text: str) -> None:
    """Print one line that the command was asked for."""
    print(text)


def result_json(value: Mapping[str, Any]) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2))


def facts(heading: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and their values."""
    _print_table((heading, ""), rows, "left")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a result as a table: the first column left-aligned, the others, which are numbers, right-aligned."""
    _print_table(columns, rows, "right")


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], justify: Literal["left", "right"]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        grid.add_column(Text(column), justify="left" if index == 0 else justify, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    _console(sys.stdout).print(grid)


def note(text: str) -> None:
    """Print what is useful to know but was not asked for; `--quiet` drops it."""
    if not settings.quiet:
        print(text, file=sys.stderr)


def error(text: str) -> None:
    """Print what went wrong."""
    print(f"kascade: error: {' '.join(text.split())}", file=sys.stderr)


def exit_if_failed(failures: Sequence[str], files: int) -> None:
    """End the command with exit code 1 if some of the `files` failed, telling which and why."""
    if failures:
        import typer

        for failure in failures:
            error(failure)
        error(f"{len(failures)} of {files} files failed")
        raise typer.Exit(1)


def warn(text: str) -> None:
    """Print a problem that did not stop the command; `--quiet` does not drop it."""
    print(f"warning: {text}", file=sys.stderr)


@contextmanager
def readable_warnings() -> Iterator[None]:
    """Print Python warnings as one line each, without the source line that raised them."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        warn(str(message))

    with warnings.catch_warnings():
        if not settings.debug:
            warnings.showwarning = show
        yield


class ProgressBar:
    """A bar on the terminal; does nothing where there is none, or where `--quiet` was given."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._whole: TaskID | None = None
        self._part: TaskID | None = None

    def over(self, items: Iterable[Item], total: int, description: str = "files") -> Iterator[Item]:
        """Iterate over `items`, counting those that are done; a single one is not counted."""
        if total > 1:
            self._whole = self._bar.add_task(description, total=total)
        for item in items:
            if self._whole is not None:
                self._bar.advance(self._whole)
            yield item

    def part(self, done: float, total: float) -> None:
        """Show how much of the current item is done."""
        if self._part is None:
            self._part = self._bar.add_task("slices", total=total)
        self._bar.update(self._part, completed=done, total=total)

    def narrator(self, total: int) -> Callable[[str], None]:
        """Function to be called with a description before each of `total` steps."""
        task = self._bar.add_task("", total=total)
        begun = itertools.count()
        return lambda text: self._bar.update(task, completed=next(begun), description=text)

    def counter(self, total: int) -> Callable[[], None]:
        """Function to be called after each of `total` steps."""
        task = self._bar.add_task("reconstructions", total=total)
        return lambda: self._bar.advance(task)


@contextmanager
def progress(description: str | None = None) -> Iterator[ProgressBar]:
    """Show progress on a terminal while the block runs.

    Parameters
    ----------
    description : str, optional
        What is being done; shown with a moving bar for work whose length is not known.
    """
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    console = _console(sys.stderr)
    shown = console.is_terminal and not settings.quiet
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=console, transient=True, disable=not shown) as bar:
        if description is not None:
            bar.add_task(description, total=None)
        yield ProgressBar(bar)
