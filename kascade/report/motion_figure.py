"""Figure of rigid motion over shots: shifts and angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kascade.errors import ConfigError, ShapeError
from kascade.report.canvas import caption, cell, new_figure
from kascade.report.figures import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["motion_figure"]

_NAMES = {3: ("rows", "columns", "in plane"), 6: ("depth", "rows", "columns") * 2}


def motion_figure(
    curves: Mapping[str, ArrayLike], reference: ArrayLike | None = None, title: str | None = None
) -> Figure:
    """Shifts in px and angles in degrees over shots.

    Parameters
    ----------
    curves : mapping
        Name, such as that of a slice, to motion (shots, 3) or (shots, 6); several are drawn over one another.
    reference : array, optional
        True motion of the same shape: dashed.
    title : str, optional
        Line above it all.

    Returns
    -------
    Figure

    Raises
    ------
    ConfigError
        If there is no curve.
    ShapeError
        If a motion has another shape.
    """
    paths = {name: np.asarray(path, float) for name, path in curves.items()}
    every = [*paths.values(), *([] if reference is None else [np.asarray(reference, float)])]
    if not paths:
        raise ConfigError("motion_figure: no motion given; expected at least one")
    if any(path.ndim != 2 or path.shape[1] not in _NAMES or path.shape != every[0].shape for path in every):
        raise ShapeError(f"motion_figure: {[path.shape for path in every]}; expected equal (shots, 3) or (shots, 6)")
    shots, count = every[0].shape
    shifts = 2 if count == 3 else 3
    figure = new_figure(10.2, 3.5, "white")
    for index, (label, chosen) in enumerate((("shift [px]", range(shifts)), ("angle [°]", range(shifts, count)))):
        axes = cell(figure, 5.1 * index + 0.75, 0.42 if title else 0.2, 4.1, 2.52 if title else 2.74)
        for number, parameter in enumerate(chosen):
            color = COLORS[(number + 2 * index) % len(COLORS)]
            for path in paths.values():
                axes.plot(path[:, parameter], color=color, linewidth=1.6, alpha=1 if len(paths) == 1 else 0.5)
            axes.plot([], [], color=color, linewidth=1.6, label=_NAMES[count][parameter])
            if reference is not None:
                axes.plot(np.asarray(reference, float)[:, parameter], color="black", linewidth=1.0, linestyle="--")
        if reference is not None:
            axes.plot([], [], color="black", linewidth=1.0, linestyle="--", label="stored")
        _style(axes, label, shots)
    if title:
        caption(figure, figure.get_figwidth() / 2, 0.2, title, 12, "black")
    return figure


def _style(axes: Axes, label: str, shots: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.5, shots - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("shot", size=11)
    axes.set_ylabel(label, size=11)
    axes.grid(True, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
