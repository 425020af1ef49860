"""Sampling of k-space as an operator, and what it becomes between a Fourier transform and its adjoint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.errors import ShapeError
from kascade.physics.operator import LinearOperator

__all__ = ["FourierFilter", "Sampling"]


@dataclass(frozen=True, eq=False, repr=False)
class Sampling(LinearOperator):
    """Multiplication of k-space by a real mask (0/1, or weights); unacquired samples become zero.

    Parameters
    ----------
    mask : Tensor
        Real (columns,), (rows, columns), (depth, rows, columns), or in full rank (*batch, 1, 1, columns) with the coil
        axis and the spatial axes present (possibly of length 1).
    shape : tuple of int
        One k-space item, (coil, rows, columns) or (coil, depth, rows, columns).
    ndim : int
        Spatial axes, 2 or 3.

    Raises
    ------
    ShapeError
        If the mask does not fit the k-space.
    """

    mask: Tensor
    shape: tuple[int, ...]
    ndim: int = 2

    def __post_init__(self) -> None:
        if self.mask.is_complex():
            raise ShapeError(f"Sampling: the mask must be real, got {self.mask.dtype}")
        given = tuple(self.mask.shape)[-len(self.shape) :]
        pairs = list(zip(reversed(given), reversed(self.shape), strict=False))
        for axis, (mask_size, size) in enumerate(pairs, start=1):
            if mask_size not in (size, *((1,) if self.mask.ndim >= len(self.shape) else ())):
                raise ShapeError(
                    f"Sampling: the mask is {tuple(self.mask.shape)}, k-space is {self.shape}; axis {-axis} of the "
                    f"mask has {mask_size}, expected {size}. A mask with a batch is written in full rank, "
                    "(*batch, 1, 1, columns)"
                )

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.mask.shape[: max(self.mask.ndim - len(self.shape), 0)])

    @property
    def gram(self) -> LinearOperator:
        return Sampling(self.mask.square(), self.shape, self.ndim)

    def _apply(self, x: Tensor) -> Tensor:
        return self.mask * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.mask * y


@dataclass(frozen=True, eq=False, repr=False)
class FourierFilter(LinearOperator):
    """`F.H @ Sampling(weights) @ F`: a circular convolution, computed with the fewest transforms.

    Axes along which the weights are constant need no transform at all (their Fourier pairs cancel), and the shifts of
    the centered transform cancel when the weights are shifted instead.

    Parameters
    ----------
    weights : Tensor
        Real, centered, laid out like the mask of `Sampling`.
    shape : tuple of int
        One item, (coil, rows, columns) or (coil, depth, rows, columns).
    ndim : int
        Spatial axes, 2 or 3.
    """

    weights: Tensor
    shape: tuple[int, ...]
    ndim: int = 2
    hermitian = True

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.weights.shape[: max(self.weights.ndim - len(self.shape), 0)])

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which the weights vary: the only ones to transform."""
        return filter_axes(self.weights, self.ndim)

    def _apply(self, x: Tensor) -> Tensor:
        axes = self.axes
        weights = torch.fft.ifftshift(self.weights, dim=axes)
        spectrum = weights * torch.fft.fftn(x, dim=axes, norm="ortho")
        image: Tensor = torch.fft.ifftn(spectrum, dim=axes, norm="ortho")
        return image

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)


def filter_axes(weights: Tensor, ndim: int) -> tuple[int, ...]:
    """Spatial axes, counted from the end, along which `weights` has more than one entry."""
    return tuple(axis for axis in range(-min(ndim, weights.ndim), 0) if weights.shape[axis] > 1) or (-1,)
