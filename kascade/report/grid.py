"""A grid of images, each with a heading of its own, on a dark background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from kascade.errors import ConfigError, ShapeError
from kascade.report.canvas import MUTED, caption, cell, magnitude, new_figure, show, upper_limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Panel", "image_grid"]

GAP, MARGIN = 0.05, 0.1  # inches
HEADING, NAMES, TITLE = 0.5, 0.95, 0.4
WIDEST, LARGEST = 15.0, 3.2


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of a grid.

    Attributes
    ----------
    image : array
        (rows, columns); of a complex one the magnitude.
    heading, detail : str
        Lines above it.
    high : float, optional
        Upper end of the gray scale; by default the 99.5th percentile.
    colormap : str
        A color map of Matplotlib.
    """

    image: ArrayLike
    heading: str = ""
    detail: str = ""
    high: float | None = None
    colormap: str = "gray"


def image_grid(
    rows: Sequence[Sequence[Panel | None]], names: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Images in rows and columns.

    Parameters
    ----------
    rows : sequence of sequence of Panel or None
        From top to bottom and from left to right; None leaves a place empty. All images have one shape.
    names : sequence of str, optional
        What stands left of each row.
    title : str, optional
        Line above it all.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the images differ in shape or are not 2-D.
    ConfigError
        If there is no image, or there are not as many names as rows.
    """
    panels = [panel for row in rows for panel in row if panel is not None]
    if not panels or (names is not None and len(names) != len(rows)):
        raise ConfigError(f"image_grid: {len(panels)} images in {len(rows)} rows with {len(names or ())} names")
    shapes = {magnitude(panel.image).shape for panel in panels}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise ShapeError(f"image_grid: images of shapes {sorted(shapes)}; expected equal (rows, columns)")
    image_rows, image_columns = next(iter(shapes))
    left = MARGIN + (NAMES if names is not None else 0)
    across = max(len(row) for row in rows)
    width = min(LARGEST, (WIDEST - left - MARGIN) / across - GAP)
    height = width * image_rows / image_columns
    heads = [HEADING if any(panel and (panel.heading or panel.detail) for panel in row) else 0.0 for row in rows]
    top = TITLE if title else MARGIN
    full_width = left + across * (width + GAP) - GAP + MARGIN
    figure = new_figure(full_width, top + sum(heads) + len(rows) * (height + GAP) - GAP + MARGIN)
    if title:
        caption(figure, full_width / 2, 0.22, title, 13)
    size = min(12.0, 5 * width)  # so that headings fit narrow images
    for number, row in enumerate(rows):
        top += heads[number]
        if names is not None:
            caption(figure, MARGIN + NAMES / 2, top + height / 2, names[number], 9.5)
        for column, panel in enumerate(row):
            if panel is None:
                continue
            x = left + column * (width + GAP)
            caption(figure, x + width / 2, top - 0.34, panel.heading, size)
            caption(figure, x + width / 2, top - 0.13, panel.detail, 0.75 * size, MUTED)
            image = magnitude(panel.image)
            show(cell(figure, x, top, width, height), image, panel.high or upper_limit(image), panel.colormap)
        top += height + GAP
    return figure
