"""Tables of benchmarks: Markdown, rows of scores as CSV, and means with their spread as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np

from kascade.data.atomic import atomic_output

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Row", "Table", "gain_text", "markdown_table", "read_rows", "rows_csv", "spread_text", "write_rows"]

Table = tuple[list[str], list[list[str]]]
"""Columns and lines."""

Row = TypeVar("Row", bound="DataclassInstance")


def markdown_table(table: tuple[Sequence[str], Sequence[Sequence[str]]]) -> str:
    """A table as Markdown, without a newline at its end."""
    columns, lines = table
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *lines))


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write rows, dataclasses of strings and numbers, as CSV, whole or not at all; an existing file is replaced."""
    with atomic_output(path, force=True) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read what `write_rows` wrote."""
    types: Mapping[str, Any] = get_type_hints(kind)
    with open(path, newline="", encoding="utf-8") as file:
        return [kind(**{f.name: types[f.name](line[f.name]) for f in fields(kind)}) for line in csv.DictReader(file)]


def rows_csv(kind: type[Row], rows: Mapping[str, Mapping[int, Sequence[Row]]]) -> str:
    """Rows by method and seed as text of comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "seed", *(field.name for field in fields(kind))])
    for method, by_seed in rows.items():
        for seed, lines in by_seed.items():
            for row in lines:
                values = asdict(row).values()
                writer.writerow([method, seed, *(f"{v:.6g}" if isinstance(v, float) else v for v in values)])
    return text.getvalue()


def spread_text(by_seed: Sequence[Sequence[float]], form: str) -> str:
    """Mean and standard deviation over what was tested, each averaged over seeds; `by_seed` is (seeds, tests)."""
    tested = np.mean(np.array(by_seed), axis=0)
    return f"{tested.mean():{form}} ± {tested.std():{form}}"


def gain_text(gains: Sequence[float]) -> str:
    """Mean of what each seed gained, and the standard deviation between seeds where there are several."""
    spread = f" ± {np.std(gains, ddof=1):.2f}" if len(gains) > 1 else ""
    return f"{np.mean(gains):+.2f}{spread}"
