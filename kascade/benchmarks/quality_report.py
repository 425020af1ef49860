"""What the quality benchmark gives: tables, and a figure for each case."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.quality import CaseResult, QualityRow
from kascade.benchmarks.quality_cases import Case
from kascade.benchmarks.tables import markdown_table
from kascade.report.canvas import upper_limit
from kascade.report.figures import comparison
from kascade.report.grid import Panel, image_grid
from kascade.report.head_score import floor_corrected, scaled_to, score_against_rss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["case_figure", "quality_csv", "quality_markdown", "quality_table"]

IN_FIGURES = ("zero-filled", "wavelet", "TV")  # and the trained models
ERROR_SCALE, TAKEN_SCALE = 5, 2
CLASSICAL = ("zero-filled", "SENSE", "wavelet", "TV", "BART wavelet")

Image = NDArray[np.floating[Any]]


def quality_table(results: Sequence[CaseResult]) -> tuple[list[str], list[list[str]]]:
    """PSNR and SSIM of every case that has a reference.

    Returns
    -------
    list of str
        Heads of the columns: case, each method, and the gain of each trained model.
    list of list of str
        A row for each case, and their means. The gain is that in PSNR over the best classical method, BART included.
    """
    scored = [result for result in results if any(row.psnr is not None for row in result.rows)]
    methods = list(dict.fromkeys(row.method for result in scored for row in result.rows))
    models = [method for method in methods if method not in CLASSICAL]
    columns = ["case", *methods, *(f"gain of {model}" for model in models)]
    lines = []
    gains: dict[str, list[float]] = {model: [] for model in models}
    for result in scored:
        rows = {row.method: row for row in result.rows}
        cells = [_score(rows.get(method)) for method in methods]
        for model in models:
            gain = _gain(rows, model)
            cells.append("-" if gain is None else f"{gain:+.2f}")
            gains[model] += [] if gain is None else [gain]
        lines.append([result.case.name, *cells])
    if len(scored) > 1:
        means = [_mean(scored, method) for method in methods]
        lines.append(["mean", *means, *(f"{np.mean(g):+.2f}" if g else "-" for g in gains.values())])
    return columns, lines


def quality_csv(results: Sequence[CaseResult]) -> str:
    """Every row as text of comma-separated values, with a line of names first."""
    names = [field.name for field in fields(QualityRow)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in (row for result in results for row in result.rows):
        values = [getattr(row, name) for name in names]
        writer.writerow(["" if v is None else f"{v:.6g}" if isinstance(v, float) else v for v in values])
    return text.getvalue()


def quality_markdown(results: Sequence[CaseResult]) -> str:
    """The table, what the cases are, and what did not work, as Markdown."""
    columns, lines = quality_table(results)
    text = [
        "# Quality benchmark",
        "",
        "PSNR in dB / SSIM inside the head, against the root sum of squares of the full k-space without its noise "
        "floor, or against the noise-free truth of a simulation. Classical methods and BART at their best weight of a "
        "small grid for each slice, trained models as they are.",
        "",
    ]
    if lines:
        text += [markdown_table((columns, lines)), ""]
    text += ["| case | what | slices |", "|---|---|---|"]
    text += [f"| {r.case.name} | {r.case.title} | {len(r.references)} |" for r in results]
    problems = [problem for result in results for problem in result.problems]
    if problems:
        text += ["", "Not done:", "", *(f"- {problem}" for problem in problems)]
    return "\n".join([*text, ""])


def case_figure(result: CaseResult) -> Figure | None:
    """Zero-filled, wavelet, TV and the trained models, with errors where there is a reference; None without any image.

    Of several slices with a reference, the middle one is shown. Without a reference all are; of fully sampled ones also
    what each method took away.
    """
    shown = {m: images for m, images in result.images.items() if m in IN_FIGURES or m not in CLASSICAL}
    if not shown:
        return None
    index = len(result.references) // 2
    reference = result.references[index]
    if reference is None:
        return _without_reference(shown, result.case)
    target, head = floor_corrected(reference)
    images = {m: scaled_to(images[index].astype(np.float64), target, head) for m, images in shown.items()}
    found = {m: score_against_rss(images[index], reference) for m, images in shown.items()}
    scores = {m: (score["psnr"], score["ssim"]) for m, score in found.items()}
    return comparison(images, target, ERROR_SCALE, scores, "Reference", result.case.title)


def _without_reference(shown: Mapping[str, Sequence[Image]], case: Case) -> Figure:
    rows: list[list[Panel | None]] = []
    names: list[str] = []
    for number, slices in enumerate(zip(*shown.values(), strict=True)):
        high = upper_limit(slices[-1])
        heads = list(shown) if number == 0 else [""] * len(slices)
        rows.append([Panel(image, head, "", high) for head, image in zip(heads, slices, strict=True)])
        names.append("image")
        if case.kind == "denoising":
            measured = slices[list(shown).index("zero-filled")] if "zero-filled" in shown else slices[0]
            taken = [abs(measured - image) for image in slices]
            rows.append([Panel(t, "", "", high / TAKEN_SCALE, "inferno") if t.any() else None for t in taken])
            names.append(f"taken away\n{TAKEN_SCALE} x brighter")
    return image_grid(rows, names if case.kind == "denoising" else None, case.title)


def _score(row: QualityRow | None) -> str:
    return "-" if row is None or row.psnr is None else f"{row.psnr:.2f} / {row.ssim:.3f}"


def _gain(rows: Mapping[str, QualityRow], model: str) -> float | None:
    own = rows[model].psnr if model in rows else None
    others = [row.psnr for name, row in rows.items() if name in CLASSICAL and row.psnr is not None]
    return None if own is None or not others else own - max(others)


def _mean(results: Sequence[CaseResult], method: str) -> str:
    """Mean of a method that did every case."""
    found = [row for result in results for row in result.rows if row.method == method and row.psnr is not None]
    if len(found) < len(results):
        return "-"
    return f"{np.mean([row.psnr for row in found]):.2f} / {np.mean([row.ssim for row in found]):.3f}"
