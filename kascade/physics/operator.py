"""The contract of every linear operator, and how operators combine into expressions.

An operator is an immutable record of tensors and sizes: two short methods, `_apply` and `_adjoint`, written in
differentiable torch, say what it does. Shapes are checked, batches broadcast, and expressions simplify by the few
rules of `LinearOperator.__matmul__` and `LinearOperator.sandwich`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from kascade.errors import ShapeError

__all__ = ["Adjoint", "Composition", "Gram", "Identity", "LinearOperator", "Scaled", "Sum"]

Self = TypeVar("Self", bound="LinearOperator")


class LinearOperator:
    """A complex-linear map between tensors, differentiable in its input and in every tensor that it holds.

    Subclasses are frozen dataclasses whose fields are tensors, operators, tuples of operators, or plain sizes. They
    give `domain_shape`, `range_shape`, `_apply` and `_adjoint`; `batch_shape` where their tensors bring batch axes; and
    `sandwich` or `gram` where something cheaper is known.

    Notes
    -----
    Inputs are (*batch, *domain_shape); the batch axes of input and operator broadcast against each other.
    """

    unitary: ClassVar[bool] = False
    hermitian: ClassVar[bool] = False

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of one input item, without batch."""
        raise TypeError(f"{type(self).__name__} does not define domain_shape")

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of one output item, without batch."""
        raise TypeError(f"{type(self).__name__} does not define range_shape")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Batch axes that the operator's own tensors bring."""
        return tuple(torch.broadcast_shapes(*(part.batch_shape for part in self._parts()), ()))

    def _apply(self, x: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define _apply")

    def _adjoint(self, y: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define _adjoint")

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the operator.

        Parameters
        ----------
        x : Tensor
            (*batch, *domain_shape).

        Returns
        -------
        Tensor
            (*batch, *range_shape), the batch axes of `x` and of the operator broadcast.

        Raises
        ------
        ShapeError
            If `x` does not end in `domain_shape`, or the batch axes do not broadcast.
        """
        check_shape(x, self.domain_shape, self.batch_shape, repr(self))
        return self._apply(x)

    # --- algebra -----------------------------------------------------------------------------------------------------

    @property
    def H(self) -> LinearOperator:
        """The adjoint operator."""
        return self if self.hermitian else Adjoint(self)

    @property
    def gram(self) -> LinearOperator:
        """`A.H @ A`, in its cheapest known form."""
        return Identity(self.domain_shape) if self.unitary else Gram(self)

    def sandwich(self, inner: LinearOperator) -> LinearOperator:
        """`A.H @ inner @ A` for a Hermitian `inner`, in its cheapest known form."""
        if isinstance(inner, Identity):
            return self.gram
        return Composition((self.H, inner, self), hermitian_inner=inner.hermitian)

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        """`(A @ B)(x) = A(B(x))`; identities vanish and a unitary operator cancels its own adjoint."""
        factors = [*_factors(self), *_factors(other)]
        seam = len(_factors(self))
        left, right = factors[seam - 1], factors[seam]
        if left.domain_shape != right.range_shape:
            raise ShapeError(
                f"{left!r} @ {right!r}: the left operator takes {left.domain_shape}, the right one gives "
                f"{right.range_shape}; {_differing_axis(left.domain_shape, right.range_shape)}"
            )
        while 0 < seam < len(factors) and _cancel(factors[seam - 1], factors[seam]):
            del factors[seam - 1 : seam + 1]
            seam -= 1
        factors = [f for f in factors if not isinstance(f, Identity)]
        if not factors:
            return Identity(other.domain_shape)
        return factors[0] if len(factors) == 1 else Composition(tuple(factors))

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """`(A + B)(x) = A(x) + B(x)`."""
        terms = [
            *(self.terms if isinstance(self, Sum) else (self,)),
            *(other.terms if isinstance(other, Sum) else (other,)),
        ]
        return Sum(tuple(terms))

    def __rmul__(self, factor: complex) -> LinearOperator:
        """`(c * A)(x) = c A(x)` for a number `c`."""
        return Scaled(complex(factor), self)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-1) * other

    def same_as(self, other: LinearOperator) -> bool:
        """Whether both are known to be one operator (used by the simplification rules)."""
        return self is other

    # --- the tensors that it holds -----------------------------------------------------------------------------------

    def _values(self) -> Iterator[tuple[str, object]]:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            yield field.name, getattr(self, field.name)

    def _parts(self) -> Iterator[LinearOperator]:
        for _, value in self._values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, LinearOperator):
                    yield item

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that the operator holds, in a fixed order."""
        found: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self._map_tensors(note)
        return tuple(found)

    def with_tensors(self: Self, tensors: Sequence[Tensor]) -> Self:
        """The same operator on other tensors, given in the order of `tensors()`."""
        supply = iter(tensors)
        return self._map_tensors(lambda _: next(supply))

    def to(self: Self, target: torch.device | str | torch.dtype) -> Self:
        """The same operator on another device, or in another precision (complex64 or complex128)."""
        if not isinstance(target, torch.dtype):
            return self._map_tensors(lambda t: t.to(target))
        return self._map_tensors(lambda t: t.to(target if t.is_complex() else target.to_real()))

    def _map_tensors(self: Self, function: Callable[[Tensor], Tensor]) -> Self:
        def convert(value: object) -> object:
            if isinstance(value, Tensor):
                return function(value)
            if isinstance(value, LinearOperator):
                return value._map_tensors(function)
            if isinstance(value, tuple) and value and isinstance(value[0], LinearOperator):
                return tuple(convert(v) for v in value)
            return value

        return dataclasses.replace(self, **{name: convert(value) for name, value in self._values()})  # type: ignore[type-var]

    def __repr__(self) -> str:
        return f"{type(self).__name__}{_arrow(self)}"


def check_shape(x: Tensor, shape: tuple[int, ...], batch_shape: tuple[int, ...], name: str) -> None:
    """Raise ShapeError unless `x` is (*batch, *shape) with a batch that broadcasts to `batch_shape`."""
    given = tuple(x.shape)
    item = given[len(given) - len(shape) :] if len(given) >= len(shape) else given
    if item != shape:
        raise ShapeError(f"{name}: expected (*batch, {_plain(shape)}), got {given}; {_differing_axis(shape, item)}")
    batch = given[: len(given) - len(shape)]
    try:
        torch.broadcast_shapes(batch, batch_shape)
    except RuntimeError:
        raise ShapeError(
            f"{name}: batch axes {batch} of the input do not broadcast with the operator's {batch_shape}"
        ) from None


def _plain(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _arrow(operator: LinearOperator) -> str:
    if operator.domain_shape == operator.range_shape:
        return f"({_plain(operator.domain_shape)})"
    return f"({_plain(operator.domain_shape)} -> {_plain(operator.range_shape)})"


def _differing_axis(expected: tuple[int, ...], given: tuple[int, ...]) -> str:
    if len(expected) != len(given):
        return f"{len(expected)} axes expected, {len(given)} given"
    for axis in range(-1, -len(expected) - 1, -1):
        if expected[axis] != given[axis]:
            return f"axis {axis} has {given[axis]}, expected {expected[axis]}"
    return "the shapes agree"


def _factors(operator: LinearOperator) -> tuple[LinearOperator, ...]:
    return operator.factors if isinstance(operator, Composition) else (operator,)


def _cancel(left: LinearOperator, right: LinearOperator) -> bool:
    """Whether left @ right is the identity: a unitary operator beside its own adjoint."""
    if isinstance(left, Adjoint):
        return right.unitary and left.operator.same_as(right)
    return isinstance(right, Adjoint) and left.unitary and right.operator.same_as(left)


@dataclass(frozen=True, eq=False, repr=False)
class Identity(LinearOperator):
    """Gives back its input.

    Parameters
    ----------
    shape : tuple of int
        Shape of one item, without batch.
    """

    shape: tuple[int, ...]
    unitary = True
    hermitian = True

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    def _apply(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y


@dataclass(frozen=True, eq=False, repr=False)
class Adjoint(LinearOperator):
    """`A.H`: applies `_adjoint` of the operator that it wraps."""

    operator: LinearOperator

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.operator.range_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.operator.domain_shape

    def _apply(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operator._apply(y)

    @property
    def H(self) -> LinearOperator:
        return self.operator

    @property
    def gram(self) -> LinearOperator:
        return Identity(self.domain_shape) if self.operator.unitary else Gram(self)

    def __repr__(self) -> str:
        return f"{self.operator!r}.H"


@dataclass(frozen=True, eq=False, repr=False)
class Gram(LinearOperator):
    """`A.H @ A` where nothing cheaper is known: the two applied in turn."""

    operator: LinearOperator
    hermitian = True

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.operator.domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.operator.domain_shape

    def _apply(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(self.operator._apply(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)

    def __repr__(self) -> str:
        return f"({self.operator!r}).gram"


@dataclass(frozen=True, eq=False, repr=False)
class Composition(LinearOperator):
    """`A @ B @ ...`: the factors applied from right to left.

    `hermitian_inner` marks `B.H @ inner @ B` with a Hermitian inner operator, which is Hermitian as a whole.
    """

    factors: tuple[LinearOperator, ...]
    hermitian_inner: bool = False

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.factors[-1].domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.factors[0].range_shape

    def _apply(self, x: Tensor) -> Tensor:
        for factor in reversed(self.factors):
            x = factor._apply(x)
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        for factor in self.factors:
            y = factor._adjoint(y)
        return y

    @property
    def H(self) -> LinearOperator:
        if self.hermitian_inner:
            return self
        return Composition(tuple(factor.H for factor in reversed(self.factors)))

    @property
    def gram(self) -> LinearOperator:
        inner = self.factors[0].gram
        for factor in self.factors[1:]:
            inner = factor.sandwich(inner)
        return inner

    def __repr__(self) -> str:
        return " @ ".join(f"({f!r})" if isinstance(f, Sum) else repr(f) for f in self.factors)


@dataclass(frozen=True, eq=False, repr=False)
class Scaled(LinearOperator):
    """`c * A` for a number `c`."""

    factor: complex
    operator: LinearOperator

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.operator.domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.operator.range_shape

    @property
    def H(self) -> LinearOperator:
        return Scaled(self.factor.conjugate(), self.operator.H)

    @property
    def gram(self) -> LinearOperator:
        return Scaled(complex(abs(self.factor) ** 2), self.operator.gram)

    def _apply(self, x: Tensor) -> Tensor:
        return self.factor * self.operator._apply(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor.conjugate() * self.operator._adjoint(y)

    def __repr__(self) -> str:
        factor = f"{self.factor.real:g}" if self.factor.imag == 0 else f"({self.factor:g})"
        return f"{factor} * ({self.operator!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Sum(LinearOperator):
    """`A + B + ...`: terms with one domain and one range."""

    terms: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        check_equal_shapes("Sum", self.terms)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.terms[0].domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.terms[0].range_shape

    @property
    def H(self) -> LinearOperator:
        return Sum(tuple(term.H for term in self.terms))

    def _apply(self, x: Tensor) -> Tensor:
        total = self.terms[0]._apply(x)
        for term in self.terms[1:]:
            total = total + term._apply(x)
        return total

    def _adjoint(self, y: Tensor) -> Tensor:
        total = self.terms[0]._adjoint(y)
        for term in self.terms[1:]:
            total = total + term._adjoint(y)
        return total

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms))


def check_equal_shapes(name: str, operators: tuple[LinearOperator, ...]) -> None:
    if not operators:
        raise ShapeError(f"{name}: needs at least one operator, got none")
    first = operators[0]
    for operator in operators[1:]:
        if (operator.domain_shape, operator.range_shape) != (first.domain_shape, first.range_shape):
            raise ShapeError(
                f"{name}: operators must agree in domain and range, got {_arrow(first)} and {_arrow(operator)}"
            )
