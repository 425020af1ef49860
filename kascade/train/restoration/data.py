"""Training examples of restoration: degraded and clean slices between their neighbors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from kascade.data.degradation import Degraded, degrade, intensity_scale, make_degradations, parse_sources
from kascade.data.degradation.degrade import head_mask
from kascade.data.nifti import read_volume
from kascade.data.planes import SlicePlane
from kascade.errors import ConfigError
from kascade.train.examples.dataset import find_files
from kascade.train.restoration.recipe import DegradedData

__all__ = ["CleanVolume", "RestorationData", "RestorationExample", "read_clean"]

CONTENT = 0.08  # brighter voxels, relative to bright tissue, are where the head's middle is looked for


class RestorationExample(NamedTuple):
    """One slice between its neighbors.

    Attributes
    ----------
    degraded, clean : Tensor
        float32 (3, rows, columns), black at -1 and bright tissue at 1.
    labels : Tensor
        float32 (4,): motion, low resolution, noise, clean.
    head : Tensor
        bool (rows, columns): where the head is in the slice itself.
    """

    degraded: Tensor
    clean: Tensor
    labels: Tensor
    head: Tensor


@dataclass(frozen=True)
class CleanVolume:
    """Slices of a volume in memory: float16 (slices, rows, columns), bright tissue at 1, the head, the pixel size."""

    name: str
    slices: Tensor
    head: Tensor
    spacing_mm: tuple[float, float]

    def around(self, index: int) -> tuple[Tensor, Tensor]:
        """A slice between its neighbors, (3, rows, columns), and the head there; at the ends itself."""
        chosen = [min(max(n, 0), len(self.slices) - 1) for n in (index - 1, index, index + 1)]
        return self.slices[chosen].float(), self.head[chosen]


def read_clean(path: Path, matrix: tuple[int, int], slices: int, orientation: str = "axial") -> CleanVolume:
    """Read the slices about the middle of the head in a NIfTI volume, cut or padded to a matrix.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    ConfigError
        If the volume is all zero.
    """
    volume = read_volume(path)
    plane = SlicePlane(orientation)
    data = plane.slices(volume.data.clamp(min=0))
    data = data / intensity_scale(data)
    box = (data > CONTENT).nonzero()
    if not len(box):
        raise ConfigError(f"{path}: every voxel is 0; take the file out of the training data")
    low, high = box.amin(0), box.amax(0) + 1
    middle = ((low + high) // 2).tolist()
    count = min(slices, int(high[0] - low[0]))
    first = max(middle[0] - count // 2, 0)
    cut = torch.stack([_fitted(image, middle[1:], matrix) for image in data[first : first + count]])
    return CleanVolume(volume.name, cut.half(), head_mask(cut), plane.spacing_mm(volume)[1:])


class RestorationData:
    """Examples for training and validation as a recipe's `data` section describes them; volumes are read into memory.

    Parameters
    ----------
    config : DegradedData
        What to draw from.
    folder : Path
        Where the folders of the sources are.
    seed : int
        Of everything that is random.
    watch : callable, optional
        Called as watch(done, total) while files are read.

    Raises
    ------
    ConfigError
        If a source has no file for training.
    FileFormatError
        If a file cannot be read.
    """

    def __init__(
        self, config: DegradedData, folder: Path, seed: int, watch: Callable[[int, int], None] | None = None
    ) -> None:
        self.config, self.seed = config, seed
        self.files = [find_files(source, folder) for source in config.sources]
        total, read = sum(len(a) + len(b) for a, b in self.files), itertools.count(1)
        self._volumes: tuple[list[CleanVolume], list[CleanVolume]] = ([], [])
        self._weights: tuple[list[float], list[float]] = ([], [])
        for source, groups in zip(config.sources, self.files, strict=True):
            for paths, volumes, weights in zip(groups, self._volumes, self._weights, strict=True):
                for path in paths:
                    volumes.append(read_clean(path, config.matrix, config.slices, source.orientations[0]))
                    weights.append(source.weight / len(paths))
                    if watch is not None:
                        watch(next(read), total)

    @property
    def fits(self) -> dict[str, list[float]]:
        """Ranges for the model card: pixel sizes, a quarter more and less than those of the training volumes."""
        sides = [side for volume in self._volumes[0] for side in volume.spacing_mm]
        return {"spacing_mm": [round(min(sides) / 1.25, 2), round(max(sides) * 1.25, 2)]}

    def train(self, epoch: int, size: int) -> DegradedSlices:
        """`size` examples of `epoch`; another epoch has others."""
        return DegradedSlices(self._volumes[0], self._weights[0], self.config, (self.seed, 1, epoch), size)

    def validation(self) -> DegradedSlices:
        """Examples of the volumes held out for validation.

        Raises
        ------
        ConfigError
            If there are none.
        """
        if not self._volumes[1]:
            raise ConfigError("no source has files for validation; name some under `validation`")
        size = self.config.validation_examples
        return DegradedSlices(self._volumes[1], self._weights[1], self.config, (self.seed, 2), size)


class DegradedSlices(Dataset[RestorationExample]):
    """A fixed list of examples: each is drawn, the same every time, from its number and `key`."""

    def __init__(
        self, volumes: list[CleanVolume], weights: list[float], config: DegradedData, key: tuple[int, ...], size: int
    ) -> None:
        self.volumes, self.config, self.key, self.size = volumes, config, key, size
        self.shares = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> RestorationExample:
        """Draw example `index`.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"example {index} of {self.size}")
        rng, config = np.random.default_rng((*self.key, index)), self.config
        volume = self.volumes[rng.choice(len(self.volumes), p=self.shares)]
        clean, head = volume.around(int(rng.integers(len(volume.slices))))
        weights = np.array(list(config.mixtures.values()))
        mixture = parse_sources(list(config.mixtures)[rng.choice(len(weights), p=weights / weights.sum())])
        severity = str(rng.choice(config.severities))
        degraded = degrade(clean, make_degradations(mixture, severity), rng, head=head)
        return _example(degraded, head, config.patch, rng)


def _example(
    degraded: Degraded, head: Tensor, patch: tuple[int, int] | None, rng: np.random.Generator
) -> RestorationExample:
    """Cut a patch about a random place of the head, mirror it left to right or not."""
    images = [degraded.image, degraded.clean, head]
    if patch is not None:
        places = head[1].nonzero()
        place = places[rng.integers(len(places))].tolist() if len(places) else [n // 2 for n in head.shape[1:]]
        for axis, (at, size) in enumerate(zip(place, patch, strict=True), start=1):
            start = min(max(at - size // 2, 0), head.shape[axis] - size)
            images = [image.narrow(axis, start, size) for image in images]
    if rng.integers(2):
        images = [image.flip(-1) for image in images]
    return RestorationExample(2 * images[0] - 1, 2 * images[1] - 1, degraded.labels, images[2][1].contiguous())


def _fitted(image: Tensor, middle: list[int], matrix: tuple[int, int]) -> Tensor:
    """Image about its pixel `middle`, zero outside the frame."""
    pads: list[int] = []
    for at, size, have in zip(reversed(middle), reversed(matrix), reversed(image.shape), strict=True):
        pads += [size // 2 - at, at - size // 2 + size - have]
    return F.pad(image, pads)
