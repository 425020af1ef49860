"""Training examples of super-resolution: images across thick slices, and slices of all planes for generators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kascade.data.nifti import read_volume
from kascade.data.simulation.thick import simulate_thick
from kascade.errors import ConfigError
from kascade.physics.interpolation import cubic_interpolation
from kascade.recon.superres.grid import fine_grid
from kascade.recon.superres.volume import across_images, head_box
from kascade.train.examples.config import NiftiSource
from kascade.train.examples.volumes import VolumeSource
from kascade.train.superres.recipe import SliceData, ThickData

__all__ = ["FineVolume", "SliceSource", "ThickExample", "ThickSource", "ThickVolume", "framed"]

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


class ThickSource(VolumeSource[ThickData, ThickVolume, ThickExample]):
    """Images across thick slices, for networks that sharpen them."""

    def read(self, path: Path, source: NiftiSource) -> ThickVolume:
        """As `ThickVolume.read`."""
        return ThickVolume.read(path, self.config)

    def draw(self, volume: ThickVolume, rng: np.random.Generator, validation: bool) -> ThickExample:
        """As `ThickVolume.draw`."""
        return volume.draw(rng, self.config, self.config.augment and not validation)


class SliceSource(VolumeSource[SliceData, FineVolume, Tensor]):
    """Real slices, (1, size, size), for a generator."""

    def read(self, path: Path, source: NiftiSource) -> FineVolume:
        """As `FineVolume.read`."""
        return FineVolume.read(path)

    def draw(self, volume: FineVolume, rng: np.random.Generator, validation: bool) -> Tensor:
        """As `FineVolume.draw`."""
        return volume.draw(rng, self.config.size)
