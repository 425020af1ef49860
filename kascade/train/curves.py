"""Curves of a training: loss, scores of the validation, lambdas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kascade.report.canvas import cell, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["training_curves"]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def training_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Loss, PSNR (of classifiers AUC) of the validation and, for cascades that have them, lambdas over steps.

    Parameters
    ----------
    rows : sequence of mapping
        Lines of a metrics.csv.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    lambdas = sorted({name for row in rows for name in row if name.startswith("lambda_")}, key=_number)
    panels = [
        ("loss", {"loss": "training", "validation_loss": "validation"}),
        ("validation PSNR [dB]", {"validation_psnr": "PSNR"}),
    ]
    aucs = [name for row in rows[-1:] for name in row if name.startswith("validation_auc")]
    if aucs:
        panels[1] = ("validation AUC", {name: name.removeprefix("validation_") for name in aucs})
    if lambdas:
        panels.append(("lambda", {name: str(_number(name)) for name in lambdas}))
    figure = new_figure(4.6 * len(panels), 3.4, "white")
    for index, (label, names) in enumerate(panels):
        axes = cell(figure, 4.6 * index + 0.85, 0.2, 3.55, 2.6)
        for number, (name, title) in enumerate(names.items()):
            points = [(row["step"], row[name]) for row in rows if name in row]
            color = COLORS[number % len(COLORS)]
            axes.plot([p[0] for p in points], [p[1] for p in points], color=color, linewidth=1.4, label=title)
            if 0 < len(points) < 30:
                axes.plot([p[0] for p in points], [p[1] for p in points], "o", color=color, markersize=3)
        if not label.startswith("validation") and all(row[name] > 0 for row in rows for name in names if name in row):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=8, ncols=2 if len(names) > 4 else 1)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid(True, color="#e5e5e5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
