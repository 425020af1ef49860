"""Pointwise multiplication as an operator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kascade.errors import ShapeError
from kascade.physics.operator import LinearOperator

__all__ = ["Diagonal"]


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(LinearOperator):
    """Multiplication by a tensor, point by point: a phase map, a density weight, a preconditioner.

    Parameters
    ----------
    diagonal : Tensor
        Real or complex (*batch, *shape).
    shape : tuple of int
        Shape of one item; `diagonal` must end in it.

    Raises
    ------
    ShapeError
        If `diagonal` does not end in `shape`.
    """

    diagonal: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if tuple(self.diagonal.shape[self.diagonal.ndim - len(self.shape) :]) != self.shape:
            raise ShapeError(f"Diagonal: the diagonal is {tuple(self.diagonal.shape)}, but one item is {self.shape}")

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.diagonal.shape[: self.diagonal.ndim - len(self.shape)])

    @property
    def gram(self) -> LinearOperator:
        power = self.diagonal.abs().square() if self.diagonal.is_complex() else self.diagonal.square()
        return Diagonal(power, self.shape)

    def _apply(self, x: Tensor) -> Tensor:
        return self.diagonal * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.diagonal.conj() * y
