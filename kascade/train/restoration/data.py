"""Training examples of restoration: degraded and clean slices between their neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kascade.data.degradation import Degraded, degrade, intensity_scale, make_degradations, parse_sources
from kascade.data.degradation.degrade import head_mask
from kascade.data.nifti import read_volume
from kascade.data.planes import SlicePlane
from kascade.errors import ConfigError
from kascade.train.examples.config import NiftiSource
from kascade.train.examples.volumes import VolumeSource
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
    """Slices of a volume in memory: float16 (slices, rows, columns), bright tissue at 1, and the head.

    `spacing_mm` is the pixel size, `distance_mm` that of slices.
    """

    name: str
    slices: Tensor
    head: Tensor
    spacing_mm: tuple[float, float]
    distance_mm: float = 1.0

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
    between, *spacing = plane.spacing_mm(volume)
    return CleanVolume(volume.name, cut.half(), head_mask(cut), (spacing[0], spacing[1]), between)


class RestorationData(VolumeSource[DegradedData, CleanVolume, RestorationExample]):
    """Degraded and clean slices, by the recipe's mixtures and severities."""

    def read(self, path: Path, source: NiftiSource) -> CleanVolume:
        """As `read_clean`."""
        return read_clean(path, self.config.matrix, self.config.slices, source.orientations[0])

    @property
    def fits(self) -> dict[str, Any]:
        """Pixel sizes, and distances of slices, for the model card: a quarter more and less than in training."""
        between = [volume.distance_mm for volume in self._volumes[0]]
        reach = [round(min(between) / 1.25, 2), round(max(between) * 1.25, 2)]
        return {**super().fits, "slice_distance_mm": reach}

    def draw(self, volume: CleanVolume, rng: np.random.Generator, validation: bool) -> RestorationExample:
        """Draw a slice, degrade it, cut a patch."""
        config = self.config
        clean, head = volume.around(int(rng.integers(len(volume.slices))))
        weights = np.array(list(config.mixtures.values()))
        mixture = parse_sources(list(config.mixtures)[rng.choice(len(weights), p=weights / weights.sum())])
        severity = str(rng.choice(config.severities))
        degraded = degrade(clean, make_degradations(mixture, severity, volume.spacing_mm), rng, head=head)
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
