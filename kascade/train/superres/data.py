"""Training examples of super-resolution: images across thick slices, and slices of all planes for generators."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from kascade.data.nifti import read_volume
from kascade.data.simulation.thick import simulate_thick
from kascade.errors import ConfigError
from kascade.physics.interpolation import cubic_interpolation
from kascade.recon.superres.grid import fine_grid
from kascade.recon.superres.volume import across_images, head_box
from kascade.train.examples.dataset import find_files
from kascade.train.superres.recipe import SliceData, ThickData

__all__ = ["FineVolume", "SliceSource", "ThickExample", "ThickSource", "ThickVolume", "framed"]

E = TypeVar("E")
CONTENT = 0.08  # of a slice's pixels must show the head, else a generator is not taught by it


class ThickExample(NamedTuple):
    """One image across thick slices, scaled by the RMS of the volume's head.

    Attributes
    ----------
    degraded, clean : Tensor
        float32 (1, rows, columns): interpolated, and the truth.
    peak : float
        Largest value of the true volume.
    """

    degraded: Tensor
    clean: Tensor
    peak: float


@dataclass(frozen=True)
class ThickVolume:
    """Images across the slices of one volume, within the head's box: float16 (images, rows, columns)."""

    degraded: Tensor
    clean: Tensor
    peak: float
    spacing_mm: tuple[float, float, float]

    @classmethod
    def read(cls, path: Path, config: ThickData) -> ThickVolume:
        """Read a fine volume and degrade it as `kascade simulate-thick` does.

        Raises
        ------
        FileFormatError
            If the file cannot be read.
        ConfigError
            If it is all zero, or smaller than the factor.
        """
        fine = read_volume(path)
        thick = simulate_thick(fine, config.factor, config.axis, config.profile)
        grid = fine_grid(thick, config.factor, config.axis, like=fine)
        slices, images = across_images(thick.data, grid.axis), across_images(fine.data, grid.axis)
        box = head_box(slices)
        scale = float(slices[box].square().mean().sqrt()) if slices[box].numel() else 0.0
        if scale == 0:
            raise ConfigError(f"{path}: every voxel is 0; take the file out of the training data")
        y, clean = slices[box] / scale, images[box[0], :, box[2]] / scale
        degraded = cubic_interpolation(y, config.factor, -2, length=clean.shape[1], first=grid.first)
        return cls(degraded.half(), clean.half(), float(clean.max()), fine.spacing_mm)

    def draw(self, rng: np.random.Generator, config: ThickData, augment: bool) -> ThickExample:
        """Draw an image, cut or padded to the size of the recipe."""
        index = int(rng.integers(len(self.clean)))
        pair = torch.stack((self.degraded[index], self.clean[index])).float()
        for axis in (1, 2):  # as tiles of a volume: cut anywhere, padded at the end
            spare = pair.shape[axis] - config.size
            pair = pair.narrow(axis, int(rng.integers(spare + 1)), config.size) if spare > 0 else pair
        pair = F.pad(pair, (0, config.size - pair.shape[2], 0, config.size - pair.shape[1]))
        if augment:
            up_down, left_right, transpose = rng.integers(2, size=3)
            pair = pair.flip(1) if up_down else pair
            pair = pair.flip(2) if left_right else pair
            pair = pair.mT if transpose else pair
        return ThickExample(pair[:1].contiguous(), pair[1:].contiguous(), self.peak)


@dataclass(frozen=True)
class FineVolume:
    """A volume in memory, float16, cut to the head and scaled by the RMS there."""

    data: Tensor
    spacing_mm: tuple[float, float, float]

    @classmethod
    def read(cls, path: Path) -> FineVolume:
        """Read a fine volume.

        Raises
        ------
        FileFormatError
            If the file cannot be read.
        ConfigError
            If it is all zero.
        """
        volume = read_volume(path)
        level = 0.02 * float(volume.data.max())
        places = (volume.data > max(level, 0)).nonzero()
        if not len(places):
            raise ConfigError(f"{path}: every voxel is 0; take the file out of the training data")
        box = tuple(slice(int(a), int(b) + 1) for a, b in zip(places.amin(0), places.amax(0), strict=True))
        data = volume.data[box]
        return cls((data / data.square().mean().sqrt()).half(), volume.spacing_mm)

    def draw(self, rng: np.random.Generator, size: int) -> Tensor:
        """Draw a slice of any plane that shows something of the head, (1, size, size); turned as `across_images`."""
        for _ in range(20):
            axis = int(rng.integers(3))
            stack = self.data.movedim(axis, 0)
            image = stack[int(rng.integers(len(stack)))].float().mT
            if float((image > CONTENT).float().mean()) > CONTENT:
                break
        return framed(image, size)[None]


def framed(image: Tensor, size: int) -> Tensor:
    """Cut or pad (rows, columns) about the middle to (size, size)."""
    pads: list[int] = []
    for have in reversed(image.shape):
        before = (size - have) // 2
        pads += [before, size - have - before]
    return F.pad(image, pads)


class _Drawn(Dataset[E], Generic[E]):
    """A fixed list of examples: each is drawn, the same every time, from its number and `key`."""

    def __init__(self, draw: Callable[[np.random.Generator], E], key: tuple[int, ...], size: int) -> None:
        self.draw, self.key, self.size = draw, key, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> E:
        """Draw example `index`.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"example {index} of {self.size}")
        return self.draw(np.random.default_rng((*self.key, index)))


V = TypeVar("V", FineVolume, ThickVolume)


class _Volumes(Generic[V]):
    """Volumes of a recipe's sources, for training and for validation, drawn by the weights of the sources."""

    def __init__(
        self,
        config: SliceData | ThickData,
        folder: Path,
        read: Callable[[Path], V],
        watch: Callable[[int, int], None] | None,
    ) -> None:
        self.files = [find_files(source, folder) for source in config.sources]
        total, done = sum(len(a) + len(b) for a, b in self.files), itertools.count(1)
        self.groups: tuple[list[V], list[V]] = ([], [])
        self.weights: tuple[list[float], list[float]] = ([], [])
        for source, files in zip(config.sources, self.files, strict=True):
            for paths, volumes, weights in zip(files, self.groups, self.weights, strict=True):
                for path in paths:
                    volumes.append(read(path))
                    weights.append(source.weight / len(paths))
                    if watch is not None:
                        watch(next(done), total)

    def choose(self, rng: np.random.Generator, validation: bool) -> V:
        weights = np.array(self.weights[validation])
        return self.groups[validation][rng.choice(len(weights), p=weights / weights.sum())]

    def require_validation(self) -> None:
        if not self.groups[1]:
            raise ConfigError("no source has files for validation; name some under `validation`")

    @property
    def fits(self) -> dict[str, list[float]]:
        """Pixel sizes, a quarter more and less than those of the training volumes."""
        sides = [side for volume in self.groups[0] for side in volume.spacing_mm]
        return {"spacing_mm": [round(min(sides) / 1.25, 2), round(max(sides) * 1.25, 2)]}


class ThickSource:
    """Examples for training and validation as the `data` section of a super-resolution recipe describes them.

    Parameters
    ----------
    config : ThickData
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
        self, config: ThickData, folder: Path, seed: int, watch: Callable[[int, int], None] | None = None
    ) -> None:
        self.config, self.seed = config, seed
        self._volumes: _Volumes[ThickVolume] = _Volumes(config, folder, lambda p: ThickVolume.read(p, config), watch)

    @property
    def files(self) -> Sequence[tuple[list[Path], list[Path]]]:
        """Files for training and for validation, of each source."""
        return self._volumes.files

    @property
    def fits(self) -> dict[str, list[float]]:
        """Ranges for the model card."""
        return self._volumes.fits

    def train(self, epoch: int, size: int) -> _Drawn[ThickExample]:
        """`size` examples of `epoch`; another epoch has others."""
        return _Drawn(lambda rng: self._draw(rng, False), (self.seed, 1, epoch), size)

    def validation(self) -> _Drawn[ThickExample]:
        """Examples of the volumes held out for validation.

        Raises
        ------
        ConfigError
            If there are none.
        """
        self._volumes.require_validation()
        return _Drawn(lambda rng: self._draw(rng, True), (self.seed, 2), self.config.validation_examples)

    def _draw(self, rng: np.random.Generator, validation: bool) -> ThickExample:
        augment = self.config.augment and not validation
        return self._volumes.choose(rng, validation).draw(rng, self.config, augment)


class SliceSource:
    """Real slices, (1, size, size), for a generator; arguments and errors are those of `ThickSource`."""

    def __init__(
        self, config: SliceData, folder: Path, seed: int, watch: Callable[[int, int], None] | None = None
    ) -> None:
        self.config, self.seed = config, seed
        self._volumes: _Volumes[FineVolume] = _Volumes(config, folder, FineVolume.read, watch)

    @property
    def files(self) -> Sequence[tuple[list[Path], list[Path]]]:
        """Files for training and for validation, of each source."""
        return self._volumes.files

    @property
    def fits(self) -> dict[str, list[float]]:
        """Ranges for the model card."""
        return self._volumes.fits

    def train(self, epoch: int, size: int) -> _Drawn[Tensor]:
        """`size` slices of `epoch`; another epoch has others."""
        return _Drawn(lambda rng: self._draw(rng, False), (self.seed, 1, epoch), size)

    def validation(self) -> _Drawn[Tensor]:
        """Slices of the volumes held out for validation.

        Raises
        ------
        ConfigError
            If there are none.
        """
        self._volumes.require_validation()
        return _Drawn(lambda rng: self._draw(rng, True), (self.seed, 2), self.config.validation_examples)

    def _draw(self, rng: np.random.Generator, validation: bool) -> Tensor:
        return self._volumes.choose(rng, validation).draw(rng, self.config.size)
