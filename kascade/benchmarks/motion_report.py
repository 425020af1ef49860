"""Tables and figure of the motion benchmark."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kascade.benchmarks.motion import MotionPlan, MotionRow, run_motion
from kascade.benchmarks.tables import markdown_table
from kascade.data.atomic import atomic_output, refuse_existing
from kascade.errors import ConfigError
from kascade.recon.outputs import make_folder
from kascade.report.figures import comparison, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["motion_csv", "motion_figure_of", "motion_markdown", "motion_tables", "write_motion"]

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Heading, names of the columns, lines."""

_NUMBERS = (
    "at_rest", "ignored", "known", "estimated", "error_px", "error_deg", "worst_px", "worst_deg",
    "seconds", "cpu_seconds", "change",
)  # fmt: skip
_FILES = ("motion.csv", "motion.md", "motion.png")


def write_motion(
    plan: MotionPlan, folder: Path, force: bool = False, progress: Callable[[str], None] | None = None
) -> list[MotionRow]:
    """Run the benchmark and write ``motion.csv``, ``motion.md`` and ``motion.png``.

    Raises
    ------
    OutputError
        If a file exists (and not `force`) or cannot be written.
    """
    make_folder(folder)
    for name in _FILES:
        refuse_existing(folder / name, force)
    rows = run_motion(plan, progress)
    for name, text in (("motion.csv", motion_csv(rows)), ("motion.md", motion_markdown(rows))):
        with atomic_output(folder / name, force) as place:
            place.write_text(text, encoding="utf-8")
    save_figure(motion_figure_of(rows), folder / "motion.png", force)
    return rows


def motion_tables(rows: Sequence[MotionRow]) -> list[Table]:
    """Tables: what known motion costs, how well motion is found, what becomes of still scans."""
    tables = [_known(rows), _estimated(rows, "estimated"), _estimated(rows, "measured"), _still(rows)]
    return [table for table in tables if table[2]]


def _known(rows: Sequence[MotionRow]) -> Table:
    lines = []
    chosen = [row for row in rows if row.case.group == "known"]
    for key in dict.fromkeys((row.case.severity, row.case.order) for row in chosen):
        some = [row for row in chosen if (row.case.severity, row.case.order) == key]
        rest, ignored, known = (
            np.mean([getattr(row, name) for row in some]) for name in ("at_rest", "ignored", "known")
        )
        worst = min(row.known - row.at_rest for row in some)
        lines.append((*key, f"{rest:.2f}", f"{ignored:.2f}", f"{known:.2f}", f"{known - rest:+.2f}", f"{worst:+.2f}"))
    columns = ("motion", "order", "at rest [dB]", "ignored", "known", "known - at rest", "worst")
    return "Known motion", columns, lines


def _estimated(rows: Sequence[MotionRow], group: str) -> Table:
    chosen = [row for row in rows if row.case.group == group]
    lines = [_line(row.case.name.removeprefix(f"{group}-"), row) for row in chosen]
    if len(chosen) > 1:
        middle = [
            f"{np.median([getattr(row, name) for row in chosen]):.3f}" for name in ("error_px", "error_deg")
        ]  # the median over cases of medians over shots, and the worst of all
        worst = [f"{max(getattr(row, name) for row in chosen):.3f}" for name in ("worst_px", "worst_deg")]
        psnr = [f"{np.mean([getattr(row, name) for row in chosen]):.2f}" for name in _NUMBERS[:4]]
        loss = f"{min(row.estimated - row.known for row in chosen):+.2f}"
        time = [f"{max(getattr(row, name) for row in chosen):.0f}" for name in ("seconds", "cpu_seconds")]
        lines.append(("median error, worst, mean PSNR", *middle, *worst, *psnr, loss, *time))
    columns = (
        "case", "px", "degrees", "worst px", "worst degrees", "at rest [dB]", "ignored", "known", "estimated",
        "estimated - known", "seconds", "CPU seconds",
    )  # fmt: skip
    titles = {"estimated": "Estimated motion, simulated heads", "measured": "Estimated motion, a measured slice moved"}
    return titles[group], columns, lines


def _line(name: str, row: MotionRow) -> tuple[str, ...]:
    errors = [f"{getattr(row, key):.3f}" for key in ("error_px", "error_deg", "worst_px", "worst_deg")]
    psnr = [f"{getattr(row, key):.2f}" for key in _NUMBERS[:4]]
    times = (f"{row.seconds:.0f}", f"{row.cpu_seconds:.0f}")
    return (name, *errors, *psnr, f"{row.estimated - row.known:+.2f}", *times)


def _still(rows: Sequence[MotionRow]) -> Table:
    lines = [
        (
            row.case.name.removeprefix("still-"),
            "yes" if row.accepted else "no",
            f"{row.change:.1e}",
            f"{row.at_rest:.2f}",
        )
        for row in rows
        if row.case.group == "still"
    ]
    return "Heads at rest, motion estimated", ("case", "motion claimed", "change of the image", "at rest [dB]"), lines


def motion_csv(rows: Sequence[MotionRow]) -> str:
    """Every case as a line of comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case", "group", "severity", "order", "shots", "seed", "accepted", *_NUMBERS))
    for row in rows:
        case = row.case
        values = [f"{getattr(row, name):.6g}" for name in _NUMBERS]
        writer.writerow(
            (case.name, case.group, case.severity, case.order, case.shots, case.seed, row.accepted, *values)
        )
    return text.getvalue()


def motion_markdown(rows: Sequence[MotionRow]) -> str:
    """All tables."""
    parts = []
    for heading, columns, lines in motion_tables(rows):
        parts.append(f"### {heading}\n\n{markdown_table((columns, lines))}")
    return "\n\n".join(parts) + "\n"


def motion_figure_of(rows: Sequence[MotionRow]) -> Figure:
    """The estimated case that is nearest to the middle: images and errors.

    Raises
    ------
    ConfigError
        If no motion was estimated.
    """
    chosen = [row for row in rows if row.case.group in ("estimated", "measured")]
    if not chosen:
        raise ConfigError("motion figure: no case with estimated motion")
    row = sorted(chosen, key=lambda one: one.estimated)[len(chosen) // 2]
    names = {
        "at_rest": "At rest",
        "ignored": "Motion ignored",
        "known": "Motion known",
        "estimated": "Motion estimated",
    }
    reference = row.images["reference"]
    images = {label: row.images[name] for name, label in names.items()}
    scores = {
        label: (float(getattr(row, name)), _similarity(row.images[name], reference)) for name, label in names.items()
    }
    case = row.case
    title = f"{case.shots} shots, {case.severity} motion, {case.order}, seed {case.seed}"
    return comparison(images, reference, scores=scores, reference_name="Truth", title=title)


def _similarity(image: np.ndarray, reference: np.ndarray) -> float:
    from kascade.report.head_score import score_against_rss

    return score_against_rss(image, reference)["ssim"]
