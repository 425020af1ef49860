"""Figures: montages of slices, comparisons with error maps, curves over lambda, maps with a color bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kascade.errors import ConfigError, ShapeError
from kascade.report.canvas import (
    BRIGHT,
    MUTED,
    caption,
    cell,
    colorbar,
    magnitude,
    new_figure,
    save_figure,
    show,
    upper_limit,
)
from kascade.report.metrics import psnr, ssim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison", "curves", "map_figure", "montage", "save_figure"]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: safe for the color-blind
GAP = 0.05  # inches between images
MARGIN = 0.1  # inches around them


def montage(images: ArrayLike, title: str | None = None) -> Figure:
    """All slices of a volume in a grid, equally windowed from 0 to the volume's 99.5th percentile.

    Parameters
    ----------
    images : array
        (slices, rows, columns), or (rows, columns); of complex images the magnitude.
    title : str, optional
        Line above the images.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the images have other axes or there is none.
    """
    volume = magnitude(images)
    volume = volume[None] if volume.ndim == 2 else volume
    if volume.ndim != 3 or not volume.size:
        raise ShapeError(f"montage of images {volume.shape}; expected (slices, rows, columns)")
    slices, rows, columns = volume.shape
    across = min(slices, max(1, round(math.sqrt(1.6 * slices * rows / columns))))  # the whole near 16:10
    down = -(-slices // across)
    width = 4.0 if slices == 1 else min(2.4, 12 / across)
    height = width * rows / columns
    head = 0.5 if title else MARGIN
    figure = new_figure(2 * MARGIN + across * (width + GAP) - GAP, head + down * (height + GAP) - GAP + MARGIN)
    peak = upper_limit(volume)
    for index, image in enumerate(volume):
        row, column = divmod(index, across)
        axes = cell(figure, MARGIN + column * (width + GAP), head + row * (height + GAP), width, height)
        show(axes, image, peak)
        if slices > 1:
            axes.text(0.03, 0.97, str(index), color=MUTED, size=7, va="top", transform=axes.transAxes)
    if title:
        caption(figure, figure.get_figwidth() / 2, head / 2, title, 12)
    return figure


def comparison(
    images: Mapping[str, ArrayLike],
    reference: ArrayLike,
    error_scale: float = 5,
    scores: Mapping[str, tuple[float, float]] | None = None,
    reference_name: str = "Fully sampled",
    title: str | None = None,
) -> Figure:
    """Reconstructions beside their reference, and below them the magnitudes of their errors.

    All images share one gray window, 0 to the reference's 99.5th percentile. Errors are shown `error_scale` times
    brighter, their color bar is in percent of that window. The best PSNR stands out.

    Parameters
    ----------
    images : mapping
        Name to image, (rows, columns), in the order of the columns; of complex images the magnitude.
    reference : array
        (rows, columns).
    error_scale : float
        Amplification of the errors.
    scores : mapping, optional
        Name to PSNR in dB and SSIM, where these were measured otherwise than against `reference` as it is.
    reference_name : str
        Heading of the reference.
    title : str, optional
        Line above it all.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If an image has another shape than the reference.
    ConfigError
        If there is no image, `error_scale` is not positive, or the scores are of other images.
    """
    truth = magnitude(reference)
    pictures = {name: magnitude(image) for name, image in images.items()}
    if not pictures or not error_scale > 0:
        raise ConfigError(f"comparison of {len(pictures)} images with error_scale {error_scale}; both must be positive")
    for name, image in pictures.items():
        if image.ndim != 2 or image.shape != truth.shape:
            raise ShapeError(f"image {name!r} is {image.shape}, the reference {truth.shape}; expected equal 2-D shapes")
    if scores is None:
        scores = {name: (psnr(image, truth), ssim(image, truth)) for name, image in pictures.items()}
    if set(scores) != set(pictures):
        raise ConfigError(f"comparison of {', '.join(pictures)} with scores of {', '.join(scores)}; expected the same")

    width = min(2.5, 14 / (1 + len(pictures)))
    height = width * truth.shape[0] / truth.shape[1]
    head = 1.05 if title else 0.65
    full_width = 2 * MARGIN + (1 + len(pictures)) * (width + GAP) - GAP
    figure = new_figure(full_width, head + 2 * height + GAP + MARGIN)
    if title:
        caption(figure, full_width / 2, 0.28, title, 14)
    peak, best = upper_limit(truth), max(score[0] for score in scores.values())
    _heading(figure, MARGIN + width / 2, head, reference_name, "PSNR / SSIM", MUTED)
    show(cell(figure, MARGIN, head, width, height), truth, peak)
    for index, (name, image) in enumerate(pictures.items(), start=1):
        left = MARGIN + index * (width + GAP)
        decibel, similarity = scores[name]
        color = BRIGHT if decibel == best else MUTED
        _heading(figure, left + width / 2, head, name, f"{decibel:.1f} dB / {similarity:.3f}", color)
        show(cell(figure, left, head, width, height), image, peak)
        errors = cell(figure, left, head + height + GAP, width, height)
        shown = show(errors, np.abs(image - truth), peak / error_scale, "inferno")
    middle = head + height + GAP + height / 2
    bar = cell(figure, MARGIN + 0.6 * width, middle - 0.35 * height, 0.06 * width, 0.7 * height)
    colorbar(figure, shown, bar, [0, peak / error_scale], ["0", f"{100 / error_scale:.3g} %"])
    caption(figure, MARGIN + 0.34 * width, middle - 0.1, "Error", 12)
    caption(figure, MARGIN + 0.34 * width, middle + 0.12, f"{error_scale:g} x brighter", 9.5, MUTED)
    return figure


def curves(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    xlabel: str,
    title: str | None = None,
    mark_best: bool = True,
) -> Figure:
    """Curves over a positive quantity on a logarithmic axis, such as PSNR and SSIM over lambda.

    Parameters
    ----------
    x : sequence of float
        Positive and ascending.
    panels : mapping
        Label of the vertical axis to the curves of that panel, name to values: ``{"PSNR [dB]": {"R = 4": [...]}}``.
    xlabel : str
        Label of the common horizontal axis.
    title : str, optional
        Line above the panels.
    mark_best : bool
        Mark the largest value of each curve.

    Returns
    -------
    Figure

    Raises
    ------
    ConfigError
        If there is nothing to draw or `x` is not positive and ascending.
    ShapeError
        If a curve has another length than `x`.
    """
    place = np.asarray(x, float)
    if not place.size or not panels or not (place > 0).all() or not (np.diff(place) > 0).all():
        raise ConfigError(f"curves of {len(panels)} panels over x = {list(x)}; x must be positive and ascending")
    figure = new_figure(4.6 * len(panels), 3.5, "white")
    for index, (ylabel, lines) in enumerate(panels.items()):
        axes = cell(figure, 4.6 * index + 0.75, 0.42 if title else 0.2, 3.7, 2.52 if title else 2.74)
        for number, (name, values) in enumerate(lines.items()):
            y = np.asarray(values, float)
            if y.shape != place.shape:
                raise ShapeError(f"curve {name!r} has {y.size} values for {place.size} places")
            color = COLORS[number % len(COLORS)]
            axes.plot(place, y, color=color, linewidth=1.8, marker="o", markersize=3.5, label=name)
            if mark_best and np.isfinite(y).any():
                best = int(np.nanargmax(y))
                axes.plot(place[best], y[best], "o", color=color, markersize=9, markerfacecolor="none")
        _style_axes(axes, xlabel, ylabel)
        axes.legend(frameon=False, fontsize=9)
    if title:
        caption(figure, figure.get_figwidth() / 2, 0.2, title, 12, "black")
    return figure


def map_figure(
    maps: Mapping[str, ArrayLike],
    label: str,
    limits: tuple[float, float] | None = None,
    colormap: str = "inferno",
) -> Figure:
    """Show maps of one quantity side by side with one color scale, such as g-factors.

    Parameters
    ----------
    maps : mapping
        Heading to map, real, (rows, columns); NaN, where nothing is known, stays black.
    label : str
        What the color means, for the color bar.
    limits : tuple of float, optional
        Ends of the color scale; 0 and the 99.5th percentile of all maps where not given.
    colormap : str
        A color map of Matplotlib.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the maps are not 2-D or differ in shape.
    ConfigError
        If there is no map, or nothing in them is finite.
    """
    pictures = {name: np.asarray(values, float) for name, values in maps.items()}
    shapes = {picture.shape for picture in pictures.values()}
    if not pictures or not any(np.isfinite(picture).any() for picture in pictures.values()):
        raise ConfigError("map_figure: no finite value in the maps; nothing to show")
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise ShapeError(f"map_figure: maps of shapes {sorted(shapes)}; expected equal (rows, columns)")
    if limits is None:
        limits = 0.0, upper_limit(np.concatenate([p[np.isfinite(p)] for p in pictures.values()]))
    rows, columns = next(iter(shapes))
    width = min(3.6, 13 / len(pictures))
    height = width * rows / columns
    head = 0.45
    right = MARGIN + len(pictures) * (width + GAP)
    figure = new_figure(right + 1.0, head + height + MARGIN)
    for index, (name, picture) in enumerate(pictures.items()):
        left = MARGIN + index * (width + GAP)
        axes = cell(figure, left, head, width, height)
        shown = show(axes, picture, limits[1], colormap, limits[0], "nearest")  # others would spread the NaN
        caption(figure, left + width / 2, head / 2, name, 12)
    bar = colorbar(figure, shown, cell(figure, right + 0.12, head, 0.14, height))
    bar.set_label(label, color=BRIGHT, size=10)
    return figure


def _heading(figure: Figure, center: float, head: float, name: str, detail: str, color: str) -> None:
    caption(figure, center, head - 0.38, name, 12)
    caption(figure, center, head - 0.15, detail, 9.5, color)


def _style_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(xlabel, size=11)
    axes.set_ylabel(ylabel, size=11)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
