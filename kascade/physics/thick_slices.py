"""Thick slices as an encoding operator: a fine grid seen through a slice profile at every s-th position."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.operator import LinearOperator

__all__ = ["PROFILES", "ThickSlices", "along_axis", "profile_weights", "sample_count"]

PROFILES = ("gaussian", "box", "fermi")
_FWHM = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum of a Gaussian, in standard deviations
_TAPER = 0.1  # width of the Fermi edge relative to its cut-off


@dataclass(frozen=True, eq=False, repr=False)
class ThickSlices(LinearOperator):
    """Weighted sums along one axis: thick slices of a finely sampled image or volume.

    Made by `ThickSlices.of`, which knows the usual profiles; given directly, `weights` may be any measured ones.

    Parameters
    ----------
    weights : Tensor
        Real (thick slices, fine positions): how much each fine position adds to each slice.
    shape : tuple of int
        One fine item, such as (x, y, z).
    axis : int
        Axis across the slices, counted from the end: -1 is the last.

    Raises
    ------
    ShapeError
        If `weights` and `shape` do not fit.
    """

    weights: Tensor
    shape: tuple[int, ...]
    axis: int = -1

    def __post_init__(self) -> None:
        if not -len(self.shape) <= self.axis < 0:
            raise ShapeError(
                f"ThickSlices: axis {self.axis} is none of {self.shape}; expected -{len(self.shape)} to -1"
            )
        if self.weights.ndim != 2 or self.weights.is_complex() or self.weights.shape[1] != self.shape[self.axis]:
            raise ShapeError(
                f"ThickSlices: weights are {self.weights.dtype} {tuple(self.weights.shape)}; expected real (slices, "
                f"{self.shape[self.axis]}) for axis {self.axis} of {self.shape}"
            )

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        factor: int,
        axis: int = -1,
        profile: str = "gaussian",
        *,
        first: float = 0.0,
        count: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> ThickSlices:
        """Slices of one profile at equal distances.

        Parameters
        ----------
        shape, axis
            As for the class.
        factor : int
            Distance s of slices, in positions of the fine grid.
        profile, first, count
            As in `profile_weights`.
        dtype, device
            Of the weights.

        Raises
        ------
        ConfigError, ShapeError
            As `profile_weights` and the class.
        """
        if not -len(shape) <= axis < 0:
            raise ShapeError(f"ThickSlices: axis {axis} is none of {shape}; expected -{len(shape)} to -1")
        weights = profile_weights(shape[axis], factor, profile, first=first, count=count)
        return cls(weights.to(device, dtype), tuple(shape), axis)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        place = len(self.shape) + self.axis
        return (*self.shape[:place], self.weights.shape[0], *self.shape[place + 1 :])

    def _apply(self, x: Tensor) -> Tensor:
        return along_axis(self.weights, x, self.axis)

    def _adjoint(self, y: Tensor) -> Tensor:
        return along_axis(self.weights.mT, y, self.axis)


def sample_count(length: int, factor: int) -> int:
    """Number of slices with centers at 0, s, 2s, ... of `length` fine positions: 46 for 181 and s = 4."""
    return -(-length // factor)


def profile_weights(
    length: int, factor: int, profile: str = "gaussian", *, first: float = 0.0, count: int | None = None
) -> Tensor:
    """Weights of fine positions in thick slices whose centers lie at first, first + s, first + 2s, ...

    Parameters
    ----------
    length : int
        Fine positions.
    factor : int
        Distance s of the centers.
    profile : {"gaussian", "box", "fermi"}
        A Gaussian whose full width at half maximum is s (2-D slice selection); the mean over a width of s; or the
        central 1/s of k-space with a Fermi edge (3-D acquisition of few partitions).
    first : float
        Position of the first center; it may lie between fine positions, or before them.
    count : int, optional
        Number of slices: by default as many as have their center on the grid.

    Returns
    -------
    Tensor
        float64 (count, length). Rows sum to 1, also where a profile reaches over the edge of the grid: the part that
        is on the grid counts for all, so that a constant stays constant.

    Raises
    ------
    ConfigError
        If there is no such profile, `factor` is below 1, or a slice sees nothing of the grid.

    References
    ----------
    Zhao et al., SMORE, IEEE TMI 40:805 (2021), for the Gaussian and its width.
    """
    if profile not in PROFILES:
        raise ConfigError(f"slice profile {profile!r}; expected one of {', '.join(PROFILES)}")
    if factor < 1 or length < 1:
        raise ConfigError(f"{length} fine positions in steps of {factor}: expected a length and a factor of 1 or more")
    if count is None:
        count = math.floor((length - 1 - first) / factor) + 1
    centers = first + factor * torch.arange(max(count, 0), dtype=torch.float64)
    distance = torch.arange(length, dtype=torch.float64) - centers[:, None]
    weights = {"gaussian": _gaussian, "box": _box, "fermi": _fermi}[profile](distance, factor, length)
    total = weights.sum(1, keepdim=True)
    if count < 1 or not bool((total > 1e-6 * weights.abs().sum(1, keepdim=True)).all()):
        raise ConfigError(
            f"{count} slices at a distance of {factor} from position {first:g} do not lie on a grid of {length}"
        )
    return weights / total


def along_axis(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """Multiply each line of `x` along an axis (negative, counted from the end) by a real matrix."""
    moved = x.movedim(axis, -1)
    out = torch.complex(moved.real @ matrix.mT, moved.imag @ matrix.mT) if x.is_complex() else moved @ matrix.mT
    return out.movedim(-1, axis)


def _gaussian(distance: Tensor, factor: int, length: int) -> Tensor:
    sigma = factor / _FWHM
    return torch.where(distance.abs() <= 5 * sigma, torch.exp(-0.5 * (distance / sigma) ** 2), 0)


def _box(distance: Tensor, factor: int, length: int) -> Tensor:
    """Overlap of a fine voxel with the slice."""
    return ((factor + 1) / 2 - distance.abs()).clamp(0, 1)


def _fermi(distance: Tensor, factor: int, length: int) -> Tensor:
    """Point spread of k-space cut at 1 / (2s) cycles per voxel; circular, as the Fourier transform is."""
    frequency = torch.fft.fftfreq(length, dtype=torch.float64)
    edge = 0.5 / factor
    spectrum = torch.sigmoid((edge - frequency.abs()) / (_TAPER * edge)) if factor > 1 else torch.ones(length).double()
    waves = torch.cos(2 * torch.pi * frequency * distance[..., None])
    return waves @ spectrum / length
