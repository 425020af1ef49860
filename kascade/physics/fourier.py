"""Centered, orthonormal discrete Fourier transform: as functions and as an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.operator import LinearOperator

__all__ = ["Fourier", "fft", "ifft"]


def fft(x: Tensor, axes: Sequence[int] = (-2, -1)) -> Tensor:
    """Image to k-space: centered (DC in the middle of both), orthonormal.

    Parameters
    ----------
    x : Tensor
        Complex image, any shape.
    axes : sequence of int
        Axes to transform.

    Returns
    -------
    Tensor
        k-space, same shape; its energy equals that of `x` (Parseval).
    """
    axes = tuple(axes)
    shifted = torch.fft.ifftshift(x, dim=axes)
    spectrum: Tensor = torch.fft.fftshift(torch.fft.fftn(shifted, dim=axes, norm="ortho"), dim=axes)
    return spectrum


def ifft(y: Tensor, axes: Sequence[int] = (-2, -1)) -> Tensor:
    """k-space to image: the inverse, and the adjoint, of `fft`."""
    axes = tuple(axes)
    shifted = torch.fft.ifftshift(y, dim=axes)
    image: Tensor = torch.fft.fftshift(torch.fft.ifftn(shifted, dim=axes, norm="ortho"), dim=axes)
    return image


@dataclass(frozen=True, eq=False, repr=False)
class Fourier(LinearOperator):
    """Centered orthonormal Fourier transform of the last `ndim` axes; unitary.

    Parameters
    ----------
    shape : tuple of int
        Shape of one item without batch, for instance (coil, rows, columns).
    ndim : int
        Number of trailing axes to transform, 2 or 3.
    """

    shape: tuple[int, ...]
    ndim: int = 2
    unitary = True

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def axes(self) -> tuple[int, ...]:
        """The transformed axes, counted from the end."""
        return tuple(range(-self.ndim, 0))

    def _apply(self, x: Tensor) -> Tensor:
        return fft(x, self.axes)

    def _adjoint(self, y: Tensor) -> Tensor:
        return ifft(y, self.axes)

    def same_as(self, other: LinearOperator) -> bool:
        return isinstance(other, Fourier) and (self.shape, self.ndim) == (other.shape, other.ndim)

    def sandwich(self, inner: LinearOperator) -> LinearOperator:
        from kascade.physics.sampling import FourierFilter, Sampling

        if isinstance(inner, Sampling) and inner.ndim == self.ndim:
            return FourierFilter(inner.mask, self.shape, self.ndim)
        return super().sandwich(inner)
