"""The five mask families of the fastmri package, bit for bit: random, two equispaced, two magic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.errors import ConfigError

__all__ = [
    "FASTMRI_MASKS",
    "EquispacedFractionMask",
    "EquispacedMask",
    "MagicFractionMask",
    "MagicMask",
    "MaskFunction",
    "RandomMask",
    "central_block",
    "create_mask_function",
    "seed_from_name",
]

Seed: TypeAlias = "int | Sequence[int] | None"
"""What numpy's legacy RandomState takes: an integer, several, or None for an unpredictable start."""

Drawn: TypeAlias = "tuple[int, NDArray[np.generic]]"
"""Size of the center, and the samples outside it as (columns,); they may reach into the center."""


class MaskFunction(ABC):
    """Draws column masks: a fully sampled center plus what the family says about the other columns.

    Every call draws one (center fraction, acceleration) pair, then the family's own random numbers, from one numpy
    ``RandomState`` and in the order of the fastmri package (``fastmri.data.subsample``), so that equal seeds give
    equal masks. The constructor's generator is kept and advances from call to call; a call with its own `seed`
    neither reads nor advances it.

    Parameters
    ----------
    center_fractions : sequence of float
        Fraction of the columns that form the fully sampled center; as many as `accelerations`.
    accelerations : sequence of float
        Nominal acceleration that goes with each center fraction, at least 1.
    seed : int or sequence of int, optional
        Start of the generator that serves calls without a seed.

    Raises
    ------
    ConfigError
        If the lists are empty or differ in length, or a value is out of range.
    """

    name: str
    integer_acceleration = False

    def __init__(self, center_fractions: Sequence[float], accelerations: Sequence[float], seed: Seed = None) -> None:
        if not center_fractions or len(center_fractions) != len(accelerations):
            raise ConfigError(
                f"mask {self.name}: {len(center_fractions)} center fractions for {len(accelerations)} accelerations; "
                "give one fraction per acceleration, at least one"
            )
        for fraction in center_fractions:
            if not 0 <= fraction <= 1:
                raise ConfigError(f"mask {self.name}: center_fraction {fraction} is not between 0 and 1")
        self.center_fractions = tuple(center_fractions)
        self.accelerations = tuple(self._checked_acceleration(a) for a in accelerations)
        self._rng = np.random.RandomState(_checked_seed(seed))

    def __call__(self, columns: int, seed: Seed = None, *, offset: int | None = None) -> tuple[Tensor, int]:
        """Draw one mask.

        Parameters
        ----------
        columns : int
            Length of the mask.
        seed : int or sequence of int, optional
            Seed of this call alone; fastMRI's transforms pass `seed_from_name` of the file name.
        offset : int, optional
            First column of the equally spaced families, drawn where it is not given; `random` ignores it.

        Returns
        -------
        mask : Tensor
            Float32 zeros and ones, shape (columns,).
        low_frequencies : int
            Number of columns in the fully sampled center.

        Raises
        ------
        ConfigError
            If an argument is out of range, or no mask of the family exists for this number of columns.
        """
        if columns < 1:
            raise ConfigError(f"mask {self.name}: {columns} columns; at least 1 is needed")
        if offset is not None and not 0 <= offset < columns:
            raise ConfigError(f"mask {self.name}: offset {offset} is not a column of {columns}")
        with self._seeded(_checked_seed(seed)):
            pair = self._rng.randint(len(self.center_fractions))
            fraction, acceleration = self.center_fractions[pair], self.accelerations[pair]
            low, outer = self._sample(columns, fraction, acceleration, offset)
        mask = np.maximum(central_block(columns, low), outer.astype(np.float32))
        return torch.from_numpy(mask), low

    @abstractmethod
    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        """Draw the family's own random numbers, after those of the pair."""

    @contextmanager
    def _seeded(self, seed: Seed) -> Iterator[None]:
        if seed is None:
            yield
            return
        state = self._rng.get_state()
        self._rng.seed(seed)
        try:
            yield
        finally:
            self._rng.set_state(state)

    def _checked_acceleration(self, acceleration: float) -> float:
        if not acceleration >= 1 or not np.isfinite(acceleration):
            raise ConfigError(f"mask {self.name}: acceleration {acceleration} is not a number of at least 1")
        if not self.integer_acceleration:
            return acceleration
        if acceleration != int(acceleration):
            raise ConfigError(f"mask {self.name}: acceleration {acceleration} must be a whole number of columns")
        return int(acceleration)

    def _require_outer_columns(self, columns: int, low: int, acceleration: float) -> None:
        if low * acceleration >= columns:
            raise ConfigError(
                f"mask {self.name}: {low} central columns use up 1/{acceleration:g} of the {columns} columns; "
                "lower center_fraction or the acceleration"
            )


class RandomMask(MaskFunction):
    """Other columns are kept independently, each with the probability that meets the acceleration on average."""

    name = "random"

    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        low = round(columns * fraction)
        self._require_outer_columns(columns, low, acceleration)
        probability = (columns / acceleration - low) / (columns - low)
        return low, self._rng.uniform(size=columns) < probability


class EquispacedMask(MaskFunction):
    """Every R-th column from a random offset; with the center the true acceleration is below R."""

    name = "equispaced"
    integer_acceleration = True

    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        step = int(acceleration)
        first = self._rng.randint(step) if offset is None else offset
        outer = np.zeros(columns)
        outer[first::step] = 1
        return round(columns * fraction), outer


class EquispacedFractionMask(MaskFunction):
    """Equal, fractional spacing (positions rounded) that meets R with the center counted; fastMRI's brain masks."""

    name = "equispaced_fraction"

    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        low = round(columns * fraction)
        self._require_outer_columns(columns, low, acceleration)
        outer = np.zeros(columns)
        spacing = (acceleration * (low - columns)) / (low * acceleration - columns)
        first = self._rng.randint(round(spacing)) if offset is None else offset
        # The package stops one column short of the end; kept, because the public data were masked so.
        outer[np.around(np.arange(first, columns - 1, spacing)).astype(np.intp)] = 1
        return low, outer


class MagicMask(MaskFunction):
    """Equally spaced with offsets that differ on the two sides of k-space, so that conjugate pairs complement.

    Defazio, Offset Sampling Improves Deep Learning based Accelerated MRI Reconstructions by Exploiting Symmetry,
    arXiv:1912.01101 (2019).
    """

    name = "magic"
    integer_acceleration = True

    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        return round(columns * fraction), self._offset_sampling(columns, int(acceleration), offset)

    def _offset_sampling(self, columns: int, step: int, offset: int | None) -> NDArray[np.generic]:
        first = self._rng.randint(step) if offset is None else offset
        positive_first, negative_first = (first + 1, first + 2) if first % 2 == 0 else (first + 2, first - 1)
        positive, negative = np.zeros((columns + 1) // 2), np.zeros(columns // 2)
        positive[positive_first::step] = 1
        negative[negative_first::step] = 1  # counted outwards from frequency -1
        return np.fft.fftshift(np.concatenate([positive, negative[::-1]]))


class MagicFractionMask(MagicMask):
    """Magic with the center bounded to 1/R of the columns and the spacing adjusted so that the total meets R."""

    name = "magic_fraction"
    integer_acceleration = False

    def _sample(self, columns: int, fraction: float, acceleration: float, offset: int | None) -> Drawn:
        wanted = round(columns / acceleration)
        low = max(min(round(columns * fraction), wanted), 1)
        if wanted <= low:
            raise ConfigError(
                f"mask {self.name}: {low} central columns leave none of the {wanted} that acceleration "
                f"{acceleration:g} allows of {columns}; lower center_fraction or the acceleration"
            )
        return low, self._offset_sampling(columns, round(columns / (wanted - low)), offset)


FASTMRI_MASKS: dict[str, type[MaskFunction]] = {
    family.name: family for family in (RandomMask, EquispacedMask, EquispacedFractionMask, MagicMask, MagicFractionMask)
}
"""Mask families of the fastmri package by their name there."""


def create_mask_function(
    name: str, center_fractions: Sequence[float], accelerations: Sequence[float], seed: Seed = None
) -> MaskFunction:
    """Mask function of one of fastMRI's families.

    Parameters
    ----------
    name : str
        "random", "equispaced", "equispaced_fraction", "magic" or "magic_fraction".
    center_fractions, accelerations : sequence of float
        Pairs to draw from; fastMRI uses 0.08 at 4 and 0.04 at 8.
    seed : int or sequence of int, optional
        Start of the generator.

    Returns
    -------
    MaskFunction
        Called as ``mask, low_frequencies = function(columns, seed=None)``.

    Raises
    ------
    ConfigError
        If the name is unknown or a value is out of range.
    """
    if name not in FASTMRI_MASKS:
        raise ConfigError(f"mask {name!r} is unknown; the fastMRI families are {', '.join(FASTMRI_MASKS)}")
    return FASTMRI_MASKS[name](center_fractions, accelerations, seed)


def seed_from_name(name: str) -> tuple[int, ...]:
    """Per-call seed that fastMRI's transforms derive from a file name (with its extension, without folders)."""
    return tuple(map(ord, name))


def central_block(columns: int, lines: int) -> NDArray[np.float32]:
    """Zeros with `lines` ones in the center, which begin at (columns - lines + 1) // 2 as in fastMRI; (columns,)."""
    block = np.zeros(columns, np.float32)
    start = (columns - lines + 1) // 2
    block[start : start + lines] = 1
    return block


def _checked_seed(seed: Seed) -> Seed:
    if seed is None:
        return None
    values = [seed] if isinstance(seed, (int, np.integer)) else list(seed)
    if not values or not all(0 <= int(v) < 2**32 for v in values):
        raise ConfigError(f"mask seed {seed!r}: expected an integer from 0 to 2**32 - 1, or a non-empty list of them")
    return seed
