"""What every figure is made of: Matplotlib figures measured in inches, without any global state, and their saving."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = [
    "BRIGHT",
    "DARK",
    "MUTED",
    "caption",
    "cell",
    "colorbar",
    "magnitude",
    "new_figure",
    "save_figure",
    "show",
    "upper_limit",
]

DPI = 160
WINDOW_PERCENTILE = 99.5
DARK, BRIGHT, MUTED = "#000000", "#f2f2f2", "#a6a6a6"


def new_figure(width: float, height: float, background: str = DARK) -> Figure:
    """Figure of this size in inches, drawn by Agg and known to no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=background)
    FigureCanvasAgg(figure)
    return figure


def cell(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in inches, counted from the upper left corner."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - top - height
    return figure.add_axes((left / full_width, bottom / full_height, width / full_width, height / full_height))


def show(
    axes: Axes,
    image: NDArray[Any],
    high: float,
    colormap: str = "gray",
    low: float = 0.0,
    interpolation: str = "lanczos",
) -> AxesImage:
    """Draw an image that fills its axes."""
    axes.set_axis_off()
    return axes.imshow(image, cmap=colormap, vmin=low, vmax=high, interpolation=interpolation, aspect="auto")


def caption(figure: Figure, left: float, top: float, text: str, size: float, color: str = BRIGHT) -> None:
    """Text centered at a place in inches, counted from the upper left corner."""
    width, height = figure.get_size_inches()
    place = left / width, 1 - top / height
    figure.text(*place, text, color=color, size=size, ha="center", va="center")


def colorbar(
    figure: Figure, shown: AxesImage, axes: Axes, ticks: Sequence[float] | None = None, names: Sequence[str] = ()
) -> Colorbar:
    """Color bar that fills its axes, for a dark background."""
    bar = figure.colorbar(shown, cax=axes)
    if ticks is not None:
        bar.set_ticks(list(ticks), labels=list(names))
    bar.ax.tick_params(color=MUTED, labelcolor=BRIGHT, labelsize=9, length=2)
    bar.outline.set_edgecolor(MUTED)
    return bar


def magnitude(image: ArrayLike) -> NDArray[np.floating[Any]]:
    """Magnitude of a complex image; a real one as it is."""
    array = np.asarray(image)
    return np.abs(array) if np.iscomplexobj(array) else array.astype(float, copy=False)


def upper_limit(image: NDArray[np.floating[Any]]) -> float:
    """Upper end of the gray scale, the 99.5th percentile; a black image gets 1."""
    return float(np.percentile(image, WINDOW_PERCENTILE)) or float(image.max()) or 1.0


def save_figure(figure: Figure, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a figure whole or not at all; the suffix (.png, .pdf, .svg) says how.

    Parameters
    ----------
    figure : Figure
        The figure.
    path : path
        File to write.
    force : bool
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file exists (and not `force`) or cannot be written; nothing is left behind then.
    """
    path = Path(path)
    if path.is_dir() or (os.path.lexists(path) and not force):
        raise OutputError(f"{path}: exists already; use --force (force=True) to replace it")
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}.part{path.suffix}")
    try:
        figure.savefig(beside, dpi=DPI, facecolor=figure.get_facecolor())
        os.replace(beside, path)
    except (OSError, ValueError) as error:  # ValueError: a suffix that Matplotlib does not know
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OutputError(f"{path}: the figure cannot be written ({reason[:200]}); nothing was left there") from error
    finally:
        beside.unlink(missing_ok=True)
