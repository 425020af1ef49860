"""Undersampling masks: uniform, Poisson-disc, fastMRI's families, and the choice among them that a user makes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.mask_analysis import acs_columns, acs_rectangle, infer_mask, true_acceleration
from kascade.data.mask_functions import (
    FASTMRI_MASKS,
    EquispacedFractionMask,
    EquispacedMask,
    MagicFractionMask,
    MagicMask,
    MaskFunction,
    RandomMask,
    central_block,
    create_mask_function,
    seed_from_name,
)
from kascade.errors import ConfigError

__all__ = [
    "FASTMRI_MASKS",
    "MASK_KINDS",
    "EquispacedFractionMask",
    "EquispacedMask",
    "MagicFractionMask",
    "MagicMask",
    "MaskFunction",
    "MaskSpec",
    "RandomMask",
    "acs_columns",
    "acs_rectangle",
    "apply_padding",
    "create_mask_function",
    "infer_mask",
    "poisson_mask",
    "seed_from_name",
    "true_acceleration",
    "uniform_mask",
]

MASK_KINDS = ("uniform", *FASTMRI_MASKS, "poisson")
"""Kinds of mask that `MaskSpec` makes."""

DEFAULT_ACS = 24


@dataclass(frozen=True)
class MaskSpec:
    """A user's choice of retrospective undersampling; ``make`` draws the mask for one file.

    Parameters
    ----------
    kind : str
        One of `MASK_KINDS`.
    accel : float
        Nominal acceleration R, at least 1; a whole number for "uniform", "equispaced" and "magic".
    acs : int, optional
        Fully sampled central lines (a square block for "poisson").
    center_fraction : float, optional
        The same as a fraction of the columns; give one of the two. Without both, "uniform" and "poisson" have 24
        lines and fastMRI's families its fraction, 0.32 / R (0.08 at 4, 0.04 at 8).
    seed : int, optional
        The same mask for all files. Without it a file's name decides, in fastMRI's families as its transforms do.

    Raises
    ------
    ConfigError
        If the kind is unknown, or values contradict each other or are out of range.
    """

    kind: str = "uniform"
    accel: float = 4
    acs: int | None = None
    center_fraction: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in MASK_KINDS:
            raise ConfigError(f"mask {self.kind!r} is unknown; choose one of {', '.join(MASK_KINDS)}")
        if not 1 <= self.accel < np.inf:
            raise ConfigError(f"acceleration {self.accel} is not a number of at least 1")
        if self.acs is not None and self.center_fraction is not None:
            raise ConfigError(f"acs={self.acs} and center_fraction={self.center_fraction} say the same; give only one")
        if self.acs is not None and self.acs < 0:
            raise ConfigError(f"acs={self.acs} central lines; expected 0 or more")
        if self.center_fraction is not None and not 0 <= self.center_fraction <= 1:
            raise ConfigError(f"center_fraction {self.center_fraction} is not between 0 and 1")
        if self.seed is not None:
            _check_seed(self.seed)

    def make(self, shape: tuple[int, int], name: str | None = None) -> Tensor:
        """Draw the mask.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of k-space.
        name : str, optional
            File name with extension, without folders, which seeds the random kinds where `seed` is None.

        Returns
        -------
        Tensor
            Float32 zeros and ones: (columns,), for "poisson" (rows, columns).

        Raises
        ------
        ConfigError
            If there is no such mask for this shape, or a random kind gets neither seed nor name.
        """
        rows, columns = shape
        if self.kind == "uniform":
            return uniform_mask(columns, self.accel, self._acs(columns))
        seed = self.seed if self.seed is not None else name
        if seed is None:
            raise ConfigError(f"mask {self.kind} is random: give a seed, or the name of the file that decides it")
        if self.kind == "poisson":
            number = seed if isinstance(seed, int) else zlib.crc32(seed.encode())
            return poisson_mask((rows, columns), self.accel, self._acs(columns), number)
        fraction = 0.32 / self.accel if self.center_fraction is None else self.center_fraction
        if self.acs is not None:
            fraction = self.acs / columns
        function = create_mask_function(self.kind, [fraction], [self.accel])
        return function(columns, seed if isinstance(seed, int) else seed_from_name(seed))[0]

    def describe(self, mask: Tensor) -> str:
        """Nominal R and true acceleration in words, e.g. "uniform, R=4, true acceleration 2.86 (63 of 180 columns)"."""
        what = "columns" if mask.ndim == 1 else "samples"
        sampled = int(torch.count_nonzero(mask))
        true = f"true acceleration {true_acceleration(mask):.2f} ({sampled} of {mask.numel()} {what})"
        return f"{self.kind}, R={self.accel:g}, {true}"

    def _acs(self, columns: int) -> int:
        if self.center_fraction is not None:
            return round(columns * self.center_fraction)
        return DEFAULT_ACS if self.acs is None else self.acs


def uniform_mask(columns: int, accel: float, acs: int) -> Tensor:
    """Columns 0, R, 2 R, ... and `acs` central lines.

    Parameters
    ----------
    columns : int
        Length of the mask.
    accel : float
        Nominal acceleration R, a whole number of at least 1.
    acs : int
        Number of central lines, which begin at (columns - acs + 1) // 2 as in fastMRI; 0 for none.

    Returns
    -------
    Tensor
        Float32 zeros and ones, (columns,).

    Raises
    ------
    ConfigError
        If a value is out of range.
    """
    if columns < 1:
        raise ConfigError(f"uniform mask: {columns} columns; at least 1 is needed")
    if not 1 <= accel <= columns or accel != int(accel):
        raise ConfigError(f"uniform mask: acceleration {accel} is not a whole number from 1 to the {columns} columns")
    if not 0 <= acs <= columns:
        raise ConfigError(f"uniform mask: {acs} central lines do not fit {columns} columns")
    mask = central_block(columns, acs)
    mask[:: int(accel)] = 1
    return torch.from_numpy(mask)


def apply_padding(mask: Tensor, left: int, right: int) -> Tensor:
    """Zero a mask outside the columns left to right - 1, which alone were acquired (fastMRI's padding limits).

    Parameters
    ----------
    mask : Tensor
        (..., columns).
    left, right : int
        ``padding_left`` and ``padding_right`` of the file's header.

    Returns
    -------
    Tensor
        A new mask of the same shape.

    Raises
    ------
    ConfigError
        If not 0 <= left < right <= columns.
    """
    if not 0 <= left < right <= mask.shape[-1]:
        raise ConfigError(f"padding limits {left} to {right} do not lie in order within {mask.shape[-1]} columns")
    padded = torch.zeros_like(mask)
    padded[..., left:right] = mask[..., left:right]
    return padded


def poisson_mask(shape: tuple[int, int], accel: float, acs: int, seed: int = 0) -> Tensor:
    """Variable-density Poisson-disc mask with a fully sampled central square (SigPy's generator).

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    accel : float
        Acceleration with the center counted, above 1; met to 0.1.
    acs : int
        Side of the central square, less than rows and columns.
    seed : int
        Equal seeds give equal masks.

    Returns
    -------
    Tensor
        Float32 zeros and ones, (rows, columns).

    Raises
    ------
    ConfigError
        If a value is out of range, or SigPy finds no mask of this acceleration.
    """
    rows, columns = shape
    _check_seed(seed)
    if not 0 <= acs < min(shape):
        raise ConfigError(f"Poisson mask: a center of {acs} x {acs} does not fit {rows} x {columns} samples")
    if not 1 < accel < np.inf or acs**2 * accel >= rows * columns:
        raise ConfigError(
            f"Poisson mask: acceleration {accel:g} with a center of {acs} x {acs} is impossible for {rows} x {columns} "
            "samples; it must exceed 1 and leave samples outside the center"
        )
    for attempt in (seed, *np.random.SeedSequence(seed).generate_state(3).tolist()):
        mask = _sigpy_poisson(shape, accel, acs, attempt)
        if mask is not None:
            center = np.outer(central_block(rows, acs), central_block(columns, acs))
            return torch.from_numpy(np.maximum(mask, center))
    raise ConfigError(
        f"Poisson mask: SigPy finds none of acceleration {accel:g} +- 0.1 for {rows} x {columns} samples with a center "
        f"of {acs} x {acs}; change the acceleration or the center a little"
    )


def _sigpy_poisson(shape: tuple[int, int], accel: float, acs: int, seed: int) -> NDArray[np.float32] | None:
    """One attempt at a Poisson-disc mask; None where SigPy gives up, or would search for ever.

    SigPy places its first point at random and ends at once if that falls into the center. It then bisects the density
    for a mask of the wanted acceleration, without end where the number of samples steps over it.
    """
    import sigpy.mri

    try:
        with np.errstate(divide="ignore"):  # a mask without a sample, where there is no center
            mask: NDArray[np.float32] = sigpy.mri.poisson(
                shape, accel, (acs, acs), np.float32, crop_corner=False, seed=seed, tol=_PatientTolerance(0.1)
            )
    except (_OutOfPatienceError, ValueError):
        return None
    return mask


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ConfigError(f"mask seed {seed}: expected an integer from 0 to 2**32 - 1")


class _OutOfPatienceError(Exception):
    """The bisection takes more steps than it can need."""


class _PatientTolerance:
    """A number on the right of ``error < tolerance`` and ``error >= tolerance`` that ends an endless bisection."""

    __array_ufunc__ = None  # numpy scalars then leave the comparison to this class

    def __init__(self, value: float, steps: int = 24) -> None:
        self._value, self._steps = value, steps

    def __gt__(self, error: float) -> bool:
        self._steps -= 1
        if self._steps < 0:
            raise _OutOfPatienceError
        return bool(error < self._value)

    def __le__(self, error: float) -> bool:
        return bool(error >= self._value)
