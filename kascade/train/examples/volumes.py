"""Examples drawn from volumes in memory: what trainings on images, without k-space, have in common."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from kascade.errors import ConfigError
from kascade.train.examples.config import NiftiSource
from kascade.train.examples.dataset import Watch, find_files
from kascade.train.examples.drawn import Drawn

__all__ = ["VolumeSource"]

E = TypeVar("E")


class _Config(Protocol):
    """What the `data` section of every such recipe has."""

    @property
    def sources(self) -> Sequence[NiftiSource]: ...

    @property
    def validation_examples(self) -> int: ...


class _Volume(Protocol):
    @property
    def spacing_mm(self) -> tuple[float, ...]: ...


C = TypeVar("C", bound=_Config)
V = TypeVar("V", bound=_Volume)


class VolumeSource(ABC, Generic[C, V, E]):
    """Examples for training and validation as a recipe's `data` section describes them; volumes are read into memory.

    Parameters
    ----------
    config
        The `data` section: what to draw from.
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

    def __init__(self, config: C, folder: Path, seed: int, watch: Watch | None = None) -> None:
        self.config, self.seed = config, seed
        self.files = [find_files(source, folder) for source in config.sources]
        total, done = sum(len(a) + len(b) for a, b in self.files), itertools.count(1)
        self._volumes: tuple[list[V], list[V]] = ([], [])
        self._weights: tuple[list[float], list[float]] = ([], [])
        for source, groups in zip(config.sources, self.files, strict=True):
            for paths, volumes, weights in zip(groups, self._volumes, self._weights, strict=True):
                for path in paths:
                    volumes.append(self.read(path, source))
                    weights.append(source.weight / len(paths))
                    if watch is not None:
                        watch(next(done), total)

    @abstractmethod
    def read(self, path: Path, source: NiftiSource) -> V:
        """Read a file."""

    @abstractmethod
    def draw(self, volume: V, rng: np.random.Generator, validation: bool) -> E:
        """Draw an example from a volume."""

    @property
    def fits(self) -> dict[str, Any]:
        """Ranges for the model card: pixel sizes, a quarter more and less than those of the training volumes."""
        sides = [side for volume in self._volumes[0] for side in volume.spacing_mm]
        return {"spacing_mm": [round(min(sides) / 1.25, 2), round(max(sides) * 1.25, 2)]}

    def train(self, epoch: int, size: int) -> Drawn[E]:
        """`size` examples of `epoch`; another epoch has others."""
        return Drawn(partial(self._draw, False), (self.seed, 1, epoch), size)

    def validation(self) -> Drawn[E]:
        """Examples of the volumes held out for validation.

        Raises
        ------
        ConfigError
            If there are none.
        """
        if not self._volumes[1]:
            raise ConfigError("no source has files for validation; name some under `validation`")
        return Drawn(partial(self._draw, True), (self.seed, 2), self.config.validation_examples)

    def _draw(self, validation: bool, rng: np.random.Generator) -> E:
        """A volume is chosen by the weights of the sources, then an example of it."""
        volumes, weights = self._volumes[validation], np.array(self._weights[validation])
        return self.draw(volumes[rng.choice(len(volumes), p=weights / weights.sum())], rng, validation)
