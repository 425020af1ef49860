"""Operators side by side: several on one input (Stack), or one for each item (BlockDiagonal)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.operator import LinearOperator, Sum, check_equal_shapes

__all__ = ["BlockDiagonal", "Stack"]


@dataclass(frozen=True, eq=False, repr=False)
class Stack(LinearOperator):
    """Several operators on one input: `x -> (A_1(x), ..., A_n(x))`, along a new first item axis."""

    operators: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        check_equal_shapes("Stack", self.operators)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.operators[0].domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return (len(self.operators), *self.operators[0].range_shape)

    @property
    def gram(self) -> LinearOperator:
        return Sum(tuple(operator.gram for operator in self.operators))

    def _apply(self, x: Tensor) -> Tensor:
        return _stack([operator._apply(x) for operator in self.operators], self.operators[0].range_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        items = y.unbind(dim=-len(self.range_shape))
        total = self.operators[0]._adjoint(items[0])
        for operator, item in zip(self.operators[1:], items[1:], strict=True):
            total = total + operator._adjoint(item)
        return total

    def __repr__(self) -> str:
        return f"Stack({', '.join(map(repr, self.operators))})"


@dataclass(frozen=True, eq=False, repr=False)
class BlockDiagonal(LinearOperator):
    """One operator for each item: `(x_1, ..., x_n) -> (A_1(x_1), ..., A_n(x_n))`, along the first item axis."""

    operators: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        check_equal_shapes("BlockDiagonal", self.operators)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return (len(self.operators), *self.operators[0].domain_shape)

    @property
    def range_shape(self) -> tuple[int, ...]:
        return (len(self.operators), *self.operators[0].range_shape)

    @property
    def H(self) -> LinearOperator:
        return BlockDiagonal(tuple(operator.H for operator in self.operators))

    @property
    def gram(self) -> LinearOperator:
        return BlockDiagonal(tuple(operator.gram for operator in self.operators))

    def _apply(self, x: Tensor) -> Tensor:
        items = x.unbind(dim=-len(self.domain_shape))
        results = [operator._apply(item) for operator, item in zip(self.operators, items, strict=True)]
        return _stack(results, self.operators[0].range_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        items = y.unbind(dim=-len(self.range_shape))
        results = [operator._adjoint(item) for operator, item in zip(self.operators, items, strict=True)]
        return _stack(results, self.operators[0].domain_shape)

    def __repr__(self) -> str:
        return f"BlockDiagonal({', '.join(map(repr, self.operators))})"


def _stack(items: list[Tensor], item_shape: tuple[int, ...]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*items), dim=-len(item_shape) - 1)
