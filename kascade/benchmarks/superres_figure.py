"""Figure of the super-resolution benchmark: two planes across the thick slices, by each method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from kascade.benchmarks.superres_methods import PEERS
from kascade.benchmarks.superres_tests import SuperResTest, plane_image, views_of
from kascade.data.atomic import atomic_output
from kascade.data.nifti import Volume
from kascade.data.simulation.thick import axis_of
from kascade.report import psnr
from kascade.report.grid import Panel, image_grid
from kascade.train.superres.recipe import ThickData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Views", "examples_figure", "nearest_slices", "read_views", "write_views"]

Image = NDArray[np.float32]
Views = Mapping[str, Image]
"""Images (rows, columns) by the name of their plane."""

MARGIN = 4  # px around the head


def write_views(path: Path, test: SuperResTest, config: ThickData, volume: Volume) -> None:
    """Keep the planes of `views_of` of a restored volume, so that the figure can be drawn again without a network."""
    planes = _planes(test, config, volume.data)
    with atomic_output(path, force=True) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **planes)  # type: ignore[arg-type]


def read_views(path: Path) -> Views:
    """Read what `write_views` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def nearest_slices(test: SuperResTest, config: ThickData) -> torch.Tensor:
    """Thick slices (x, y, z) on the fine grid, each fine position as the slice whose center is nearest."""
    axis = axis_of(config.axis)
    positions = torch.arange(test.fine.data.shape[axis])
    nearest = ((positions + config.factor // 2) // config.factor).clamp(max=test.thick.data.shape[axis] - 1)
    return test.thick.data.index_select(axis, nearest)


def examples_figure(test: SuperResTest, config: ThickData, restored: Mapping[str, Views]) -> Figure:
    """Thick slices, restored images with their PSNR, and the truth; a row for each plane across the slices.

    Parameters
    ----------
    test : SuperResTest
        The subject.
    config : ThickData
        What its slices were made by.
    restored : dict
        Images of the subject by method; those of `PEERS` are shown.
    """
    truth, thick = _planes(test, config, test.fine.data), _planes(test, config, nearest_slices(test, config))
    images = {"thick slices": thick, **{name: restored[name] for name in PEERS if name in restored}, "truth": truth}
    boxes = {plane: _box(image) for plane, image in truth.items()}
    sides = [(box[0].stop - box[0].start, box[1].stop - box[1].start) for box in boxes.values()]
    shape = max(side[0] for side in sides), max(side[1] for side in sides)
    peak = float(test.fine.data.max())
    high = float(np.quantile(np.concatenate([image.ravel() for image in truth.values()]), 0.995))
    rows: list[list[Panel | None]] = []
    for plane, box in boxes.items():
        panels: list[Panel | None] = []
        for name, planes in images.items():
            told = "" if name == "truth" else f"{psnr(planes[plane], truth[plane], peak):.2f} dB"
            panels.append(Panel(_framed(planes[plane][box], shape), "" if rows else name, told, high))
        rows.append(panels)
    title = f"{test.subject}, factor {config.factor}; restored images are made consistent with the slices"
    return image_grid(rows, list(boxes), title)


def _planes(test: SuperResTest, config: ThickData, data: torch.Tensor) -> dict[str, Image]:
    return {
        view.plane: np.ascontiguousarray(plane_image(data, view).numpy(), dtype=np.float32)
        for view in views_of(test, config.axis)
    }


def _box(image: Image) -> tuple[slice, slice]:
    """Rows and columns that show the head, with a margin."""
    reach = [(max(int(n.min()) - MARGIN, 0), int(n.max()) + MARGIN + 1) for n in np.nonzero(image)]
    box = [slice(a, min(b, side)) for (a, b), side in zip(reach, image.shape, strict=True)]
    return box[0], box[1]


def _framed(image: Image, shape: tuple[int, int]) -> Image:
    """Padded to a shape about the middle."""
    spare = [wanted - have for wanted, have in zip(shape, image.shape, strict=True)]
    return np.pad(image, [(n // 2, n - n // 2) for n in spare])
