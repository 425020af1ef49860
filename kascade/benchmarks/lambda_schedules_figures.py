"""Figures of the lambda benchmark: PSNR along the cascade, lambdas of the iterations, and what lambda does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.lambda_schedules import REFERENCE
from kascade.benchmarks.lambda_schedules_noise import SenseExample
from kascade.benchmarks.lambda_schedules_probes import ACCELERATIONS, Image
from kascade.benchmarks.lambda_schedules_results import LambdaResults
from kascade.benchmarks.lambda_schedules_scores import table_of
from kascade.report.canvas import MUTED, caption, cell, colorbar, new_figure, show, upper_limit
from kascade.unroll.schedules import NICKEL_TABLE_1

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cascade_figure", "lambda_figure", "meaning_figure"]

CONSTANT = "#cc79a7"  # all colors are Okabe and Ito's: safe for the color-blind
COLORS = {"learned": "#0072b2", "tied": "#009e73", "predicted": "#56b4e9", "table1": "#d55e00", "geometric": "#e69f00"}
ERROR_SCALE = 5
GAIN_TICKS = (0.5, 1, 2, 5, 10, 20, 50)


def cascade_figure(results: LambdaResults) -> Figure:
    """Mean PSNR on the simulated scans after every SENSE step (open) and every network (filled)."""
    figure = new_figure(5.4 * len(ACCELERATIONS) + 1.4, 4.15, "white")
    for index, accel in enumerate(ACCELERATIONS):
        axes = cell(figure, 5.4 * index + 0.75, 0.5, 4.5, 2.85)
        for name in results.shown:
            color = COLORS.get(name, CONSTANT)
            x, z = (table_of(results.scores, name, accel, step).mean((0, 1)) for step in ("x", "z"))
            places = np.arange(1, len(x) + 1)
            path = sorted([*zip(places, x, strict=True), *zip(places + 0.5, z, strict=True)])
            top = 3.5 if name == REFERENCE else 2.0  # over the others
            axes.plot(*zip(*path, strict=True), color=color, linewidth=1.3, label=name, zorder=top)
            axes.plot(places, x, "o", color=color, markersize=5, markerfacecolor="white", zorder=top)
            axes.plot(places + 0.5, z, "o", color=color, markersize=5, zorder=top)
        _style(axes, "iteration", "PSNR [dB]", places)
        caption(figure, 5.4 * index + 3.0, 0.28, f"R = {accel}", 12, "black")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    note = "open: after the SENSE step; filled: after the network"
    caption(figure, 2.7 * len(ACCELERATIONS), 4.0, note, 9, "#555555")
    return figure


def lambda_figure(results: LambdaResults) -> Figure:
    """Lambda of every iteration, mean over simulated scans and seeds; of the learned ones every seed; Table 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = new_figure(7.6, 4.2, "white")
    axes = cell(figure, 0.75, 0.3, 4.6, 3.3)
    for name in results.shown:
        color = COLORS.get(name, CONSTANT)
        tables = {accel: table_of(results.scores, name, accel, "lam") for accel in ACCELERATIONS}
        for (label, table), line in zip(_curves(name, tables).items(), ("-", "--"), strict=False):
            places = np.arange(1, table.shape[-1] + 1)
            label = {"table1": "table1 (Nickel)", REFERENCE: f"{label} (dots: seeds)"}.get(name, label)
            axes.plot(
                places, table.mean((0, 1)), line, color=color, linewidth=1.8, marker="o", markersize=4, label=label
            )
            for seed in table.mean(1) if len(table) > 1 and name == REFERENCE else ():
                axes.plot(places, seed, ".", color=color, markersize=4, alpha=0.5)
    if "table1" not in results.shown and len(places) == len(NICKEL_TABLE_1):
        axes.plot(places, NICKEL_TABLE_1, ":", color="black", label="Nickel's Table 1")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    _style(axes, "iteration", "λ: bound of the noise gain", places)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return figure


def meaning_figure(examples: Sequence[SenseExample], truth: Image) -> Figure:
    """Regularized SENSE at small, medium and large lambda: image, error, noise gain.

    Images are scaled to the truth, as they are scored: at small lambda they fade towards the prior, which is 0.
    """
    rows, columns = truth.shape
    width, gap, left, head = 2.5, 0.06, 0.1, 1.25
    height = width * rows / columns
    right = left + (1 + len(examples)) * (width + gap)
    figure = new_figure(right + 0.1, head + 3 * (height + gap) + 0.1)
    title = f"λ bounds the noise that regularized SENSE passes on, here at R = {ACCELERATIONS[0]}"
    caption(figure, right / 2, 0.28, title, 14)
    peak = upper_limit(truth)
    limits = float(np.log(0.5)), float(np.log(np.nanpercentile([example.gain for example in examples], 99.5)))
    caption(figure, left + width / 2, head - 0.38, "Noise-free truth", 12)
    show(cell(figure, left, head, width, height), truth, peak)
    for index, example in enumerate(examples, start=1):
        x = left + index * (width + gap)
        caption(figure, x + width / 2, head - 0.6, f"λ = {example.lam:g}", 13)
        caption(figure, x + width / 2, head - 0.36, f"{example.psnr:.1f} dB", 10, MUTED)
        caption(figure, x + width / 2, head - 0.14, _gain_text(example), 9, MUTED)
        show(cell(figure, x, head, width, height), example.image, peak)
        error = abs(example.image - truth)
        errors = show(cell(figure, x, head + height + gap, width, height), error, peak / ERROR_SCALE, "inferno")
        place = cell(figure, x, head + 2 * (height + gap), width, height)
        gains = show(place, np.log(example.gain), limits[1], "viridis", limits[0], "nearest")
    middle = head + 1.5 * height + gap
    bar = cell(figure, left + 0.68 * width, middle - 0.35 * height, 0.06 * width, 0.7 * height)
    colorbar(figure, errors, bar, [0, peak / ERROR_SCALE], ["0", f"{100 / ERROR_SCALE:.3g} %"])
    _name(figure, left + 0.36 * width, middle, "Error", f"{ERROR_SCALE} x brighter")
    middle += height + gap
    bar = cell(figure, left + 0.68 * width, middle - 0.35 * height, 0.06 * width, 0.7 * height)
    ticks = [tick for tick in GAIN_TICKS if limits[0] <= np.log(tick) <= limits[1]]
    colorbar(figure, gains, bar, [float(np.log(tick)) for tick in ticks], [f"{tick:g}" for tick in ticks])
    _name(figure, left + 0.36 * width, middle, "Noise gain", "1: fully sampled")
    return figure


def _gain_text(example: SenseExample) -> str:
    inside = example.gain[np.isfinite(example.gain)]
    return f"noise gain {np.median(inside):.2f}, 95 % < {np.percentile(inside, 95):.2f}"


def _name(figure: Figure, center: float, middle: float, name: str, detail: str) -> None:
    caption(figure, center, middle - 0.1, name, 12)
    caption(figure, center, middle + 0.12, detail, 9.5, MUTED)


def _curves(name: str, tables: dict[int, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """One curve, or one for each R where they differ."""
    first = next(iter(tables.values()))
    if all(np.allclose(table, first, rtol=1e-5) for table in tables.values()):
        return {name: first}
    return {f"{name}, R = {accel}": table for accel, table in tables.items()}


def _style(axes: Axes, xlabel: str, ylabel: str, ticks: NDArray[np.int64]) -> None:
    axes.set_xticks(ticks)
    axes.set_xlabel(xlabel, size=11)
    axes.set_ylabel(ylabel, size=11)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
