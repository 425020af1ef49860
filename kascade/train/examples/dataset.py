"""Training examples: undersampled k-space, coil maps estimated from it, and the image that should come out."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kascade.data.load import load
from kascade.data.mask_analysis import infer_mask, true_acceleration
from kascade.data.mask_functions import RandomMask, central_block
from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics.espirit import espirit
from kascade.physics.fourier import ifft
from kascade.physics.rss import rss
from kascade.recon.setup import calibration_size
from kascade.train.examples.config import DataConfig, KspaceSource, NiftiSource, PhantomSource, Source
from kascade.train.examples.drawn import Drawn
from kascade.train.examples.objects import Volume, phantom_slice, recolor, with_scalp
from kascade.train.examples.scanner import Acquisition, acquire

__all__ = ["Example", "Examples", "TrainingData", "find_files"]

Draw = Callable[[np.random.Generator], Acquisition]
Watch = Callable[[int, int], None]

MASKS = 50
"""Masks that are drawn for the size of each example to learn how far a recipe accelerates."""


class Example(NamedTuple):
    """One slice to learn from.

    Attributes
    ----------
    y : Tensor
        k-space, complex64 (coil, rows, columns), zero where the mask is.
    maps : Tensor
        ESPIRiT's, from the calibration lines of `y`, as in a reconstruction: complex64 (coil, rows, columns).
    mask : Tensor
        float32 (columns,) or (rows, columns).
    target : Tensor
        complex64 (rows, columns): root sum of squares of the noise-free coil images, with the phase that they have when
        they are combined with `maps`.
    """

    y: Tensor
    maps: Tensor
    mask: Tensor
    target: Tensor


class Examples(Drawn[Example]):
    """A fixed list of examples, by the shares of the sources that they come from."""

    def __init__(
        self, draws: Sequence[Draw], shares: Sequence[float], config: DataConfig, key: tuple[int, ...], size: int
    ) -> None:
        super().__init__(self._draw, key, size)
        self.draws, self.config = draws, config
        self.shares = np.array(shares) / sum(shares)

    def _draw(self, rng: np.random.Generator) -> Example:
        scan = self._scan(rng)
        return _example(scan, _mask(self.config, scan.kspace.shape[-2:], rng))

    def accelerations(self) -> list[float]:
        """True accelerations of the masks of all examples, and of `MASKS` - 1 others for the size of each."""
        found = []
        for index in range(self.size):
            rng = np.random.default_rng((*self.key, index))
            shape = self._scan(rng).kspace.shape[-2:]
            found += [true_acceleration(_mask(self.config, shape, rng)) for _ in range(MASKS)]
        return found

    def _scan(self, rng: np.random.Generator) -> Acquisition:
        return self.draws[rng.choice(len(self.draws), p=self.shares)](rng)


class TrainingData:
    """Examples for training and validation as a recipe's `data` section describes them.

    Volumes are read once, into memory.

    Parameters
    ----------
    config : DataConfig
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

    def __init__(self, config: DataConfig, folder: Path, seed: int, watch: Watch | None = None) -> None:
        self.config, self.seed = config, seed
        self.files: list[tuple[list[Path], list[Path]]] = []
        for source in config.sources:
            self.files.append(([], []) if isinstance(source, PhantomSource) else find_files(source, folder))
        total, read = sum(len(a) + len(b) for a, b in self.files), itertools.count(1)

        def tick() -> None:
            if watch is not None:
                watch(next(read), total)

        self._train: list[Draw] = []
        self._validation: list[Draw] = []
        self._shares: list[float] = []
        self._validation_shares: list[float] = []
        for source, groups in zip(config.sources, self.files, strict=True):
            for files, draws, shares in zip(
                groups, (self._train, self._validation), (self._shares, self._validation_shares), strict=True
            ):
                if files or isinstance(source, PhantomSource):
                    draws.append(_read(source, files, config, tick))
                    shares.append(source.weight)

    def train(self, epoch: int, size: int) -> Examples:
        """`size` examples of `epoch`; another epoch has others."""
        return Examples(self._train, self._shares, self.config, (self.seed, 1, epoch), size)

    def validation(self) -> Examples:
        """Examples of the files held out for validation, and of phantom heads that training does not see."""
        if not self._validation:
            raise ConfigError(
                "no source has files for validation; name some under `validation`, or add a phantom source"
            )
        size = self.config.validation_examples
        return Examples(self._validation, self._validation_shares, self.config, (self.seed, 2), size)

    @property
    def fits(self) -> dict[str, list[float]]:
        """Ranges for the model card: true accelerations, as recon measures them."""
        return {"acceleration": list(self.accelerations)}

    @functools.cached_property
    def accelerations(self) -> tuple[float, float]:
        """True accelerations that the recipe draws, from the 1st to the 99th percentile, rounded outward to 0.1.

        They are lower than nominal ones, calibration lines and all; the sizes are those of the examples for validation.
        """
        low, high = np.percentile(self.validation().accelerations(), (1, 99)).tolist()
        return math.floor(10 * low) / 10, math.ceil(10 * high) / 10


def find_files(source: NiftiSource | KspaceSource, folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of a source below the data folder, for training and for validation.

    Raises
    ------
    ConfigError
        If there is none for training.
    """
    place = folder / source.folder
    found = sorted(path for path in place.glob(source.files) if path.is_file())
    names = {path: path.relative_to(place).as_posix() for path in found}
    validation = [p for p in found if any(text in names[p] for text in source.validation)]
    test = [p for p in found if any(text in names[p] for text in source.test)]
    train = [p for p in found if p not in validation and p not in test]
    if not train:
        raise ConfigError(
            f"{place}: no file {source.files} to train on (folder {source.folder!r} of the recipe's data); "
            "check the data folder, or set KASCADE_DATA"
        )
    return train, validation


@dataclass(frozen=True)
class _FromVolumes:
    """Scans of slices of volumes."""

    volumes: list[Volume]
    skull_stripped: bool
    config: DataConfig

    def __call__(self, rng: np.random.Generator) -> Acquisition:
        drawn = self.volumes[rng.integers(len(self.volumes))].draw(rng)
        if rng.uniform() < self.config.contrast:
            drawn = replace(drawn, image=recolor(drawn.image, rng))
        if self.skull_stripped:
            drawn = with_scalp(drawn, rng)
        return acquire(drawn, self.config, rng)


@dataclass(frozen=True)
class _FromPhantom:
    """Scans of phantom heads."""

    config: DataConfig

    def __call__(self, rng: np.random.Generator) -> Acquisition:
        return acquire(phantom_slice(rng), self.config, rng)


@dataclass(frozen=True)
class _FromScans:
    """Slices of measured scans; what they hold counts as noise-free.

    Each slice is checked for samples that are missing when it is drawn: reading all slices of all files beforehand
    would take as long as an epoch. The middle one of each file was, in `_full_scan`: most files end there.
    """

    scans: list[Scan]

    def __call__(self, rng: np.random.Generator) -> Acquisition:
        scan = self.scans[rng.integers(len(self.scans))]
        kspace = _full_slice(scan, int(rng.integers(len(scan))))
        return Acquisition(kspace, kspace)


def _read(source: Source, files: list[Path], config: DataConfig, tick: Callable[[], None]) -> Draw:
    """Read the files of a source; `tick` is called after each."""
    if isinstance(source, PhantomSource):
        return _FromPhantom(config)
    read: list[Any] = []
    for path in files:
        read.append(Volume(path, source.orientations) if isinstance(source, NiftiSource) else _full_scan(path))
        tick()
    return _FromVolumes(read, source.skull_stripped, config) if isinstance(source, NiftiSource) else _FromScans(read)


def _full_scan(path: Path) -> Scan:
    scan = load(path).without_oversampling()
    left, right = scan.header.padding(scan.matrix[1])
    if scan.mask is not None and not bool(scan.mask[..., left:right].all()):
        raise ConfigError(f"{path}: is undersampled; training needs fully sampled k-space")
    _full_slice(scan, len(scan) // 2)
    return scan


def _full_slice(scan: Scan, index: int) -> Tensor:
    """k-space of a slice, in which no acquired column may lack samples, whether the file has a mask or not."""
    kspace = scan.kspace[index]
    left, right = scan.header.padding(kspace.shape[-1])
    acquired = kspace[..., left:right]
    if bool(acquired.any()) and infer_mask(acquired) is not None:  # a slice may be empty as a whole
        raise ConfigError(
            f"{scan.path}: slice {index} is undersampled (samples are exactly 0 in every coil); training needs fully "
            "sampled k-space"
        )
    return kspace


def _mask(config: DataConfig, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Draw a mask for k-space of `shape`, (columns,) or (rows, columns)."""
    rows, columns = shape
    kinds = list(config.masks)
    shares = np.array([config.masks[kind] for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
    accel = rng.uniform(*config.acceleration)
    acs = min(int(rng.integers(config.acs[0], config.acs[1] + 1)), columns // 3)
    if kind == "grid":
        step = max(1, round(math.sqrt(accel)))
        other = max(1, round(accel / step))
        return torch.from_numpy(np.outer(_comb(rows, other, rng), _comb(columns, step, rng))).maximum(
            torch.from_numpy(np.outer(central_block(rows, acs), central_block(columns, acs)))
        )
    if kind == "random":
        function = RandomMask([acs / columns], [max(1, round(min(accel, 0.8 * columns / acs)))])
        return function(columns, int(rng.integers(2**31)))[0]
    mask: np.ndarray = np.maximum(_comb(columns, max(1, round(accel)), rng), central_block(columns, acs))
    return torch.from_numpy(mask)


def _comb(n: int, step: int, rng: np.random.Generator) -> np.ndarray:
    comb = np.zeros(n, dtype=np.float32)
    comb[rng.integers(step) :: step] = 1
    return comb


def _example(scan: Acquisition, mask: Tensor) -> Example:
    y = scan.kspace * mask
    maps = espirit(y, acs=calibration_size(y.shape[-2:], mask))
    images = ifft(scan.clean)
    combined = (maps.conj() * images).sum(0)
    return Example(y, maps, mask, rss(images) * torch.sgn(combined))
