"""The checks that every operator must pass: `check_operator(A)` runs them all.

Sizes must be tiny: the dense matrix of the operator is formed, and second derivatives are checked numerically.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from math import prod

import pytest
import torch
from torch import Tensor

from kascade.errors import ShapeError
from kascade.physics import LinearOperator

DOUBLE = torch.complex128


def random_complex(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    """Complex normal numbers."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Sum over all entries of conj(a) b."""
    return (a.conj() * b).sum()


def dense_matrix(A: LinearOperator) -> Tensor:
    """Matrix of an operator without batch, (range size, domain size)."""
    basis = torch.eye(prod(A.domain_shape), dtype=DOUBLE).reshape(-1, *A.domain_shape)
    return A(basis).reshape(len(basis), -1).T


def check_operator(A: LinearOperator, *, second_derivatives: bool = True) -> None:
    """Run the whole battery on an operator in complex128."""
    check_linearity(A)
    check_adjoint(A)
    check_gram(A)
    if not A.batch_shape:
        check_dense(A)
    check_broadcasting(A)
    check_wrong_shape(A)
    check_precision(A)
    check_pickle(A)
    check_gradients(A, second_derivatives=second_derivatives)


def check_linearity(A: LinearOperator) -> None:
    x, z = (random_complex(*A.batch_shape, *A.domain_shape, seed=s) for s in (1, 2))
    c = 0.3 - 1.7j
    torch.testing.assert_close(A(c * x + z), c * A(x) + A(z), rtol=1e-12, atol=1e-12)


def check_adjoint(A: LinearOperator) -> None:
    x = random_complex(*A.batch_shape, *A.domain_shape, seed=1)
    y = random_complex(*A.batch_shape, *A.range_shape, seed=2)
    left, right = inner(A(x), y), inner(x, A.H(y))
    scale = A(x).norm() * y.norm()
    assert abs(left - right) < 1e-12 * scale, f"{A!r}: <Ax, y> = {left}, <x, A.H y> = {right}"
    assert A.H.domain_shape == A.range_shape and A.H.range_shape == A.domain_shape
    torch.testing.assert_close(A.H.H(x), A(x), rtol=1e-12, atol=1e-12)


def check_gram(A: LinearOperator) -> None:
    x = random_complex(*A.batch_shape, *A.domain_shape, seed=3)
    torch.testing.assert_close(A.gram(x), A.H(A(x)), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(A.gram.H(x), A.gram(x), rtol=1e-11, atol=1e-11)
    with torch.enable_grad():  # the differentiable path may be another one than the fast path
        recorded = A.gram(x.clone().requires_grad_())
    torch.testing.assert_close(recorded.detach(), A.H(A(x)), rtol=1e-11, atol=1e-11)


def check_dense(A: LinearOperator) -> None:
    matrix = dense_matrix(A)
    x = random_complex(*A.domain_shape, seed=4)
    y = random_complex(*A.range_shape, seed=5)
    torch.testing.assert_close((matrix @ x.flatten()).reshape(A.range_shape), A(x), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close((matrix.conj().T @ y.flatten()).reshape(A.domain_shape), A.H(y), rtol=1e-11, atol=1e-11)
    if A.unitary:
        torch.testing.assert_close(
            matrix.conj().T @ matrix, torch.eye(len(matrix), dtype=DOUBLE), rtol=1e-11, atol=1e-11
        )


def check_broadcasting(A: LinearOperator, extra: Sequence[int] = (2,)) -> None:
    """A batch gives what its items give one by one."""
    x = random_complex(*extra, *A.batch_shape, *A.domain_shape, seed=6)
    for B in (A, A.H, A.gram):
        x = random_complex(*extra, *B.batch_shape, *B.domain_shape, seed=6)
        one_by_one = torch.stack([B(item) for item in x])
        torch.testing.assert_close(B(x), one_by_one, rtol=1e-11, atol=1e-11)


def check_wrong_shape(A: LinearOperator) -> None:
    shape = (*A.domain_shape[:-1], A.domain_shape[-1] + 1)
    with pytest.raises(ShapeError) as caught:
        A(random_complex(*shape))
    message = str(caught.value)
    assert str(A.domain_shape[-1]) in message and str(A.domain_shape[-1] + 1) in message and "axis -1" in message


def check_precision(A: LinearOperator) -> None:
    """Single precision stays single, and agrees with double."""
    single = A.to(torch.complex64)
    x = random_complex(*A.batch_shape, *A.domain_shape, seed=7)
    y = single(x.to(torch.complex64))
    assert y.dtype == torch.complex64
    assert single.gram(x.to(torch.complex64)).dtype == torch.complex64
    scale = float(A(x).abs().max()) + 1e-30
    assert float((y - A(x)).abs().max()) < 1e-5 * scale
    assert y.device == x.device
    assert all(t.dtype in (torch.complex64, torch.float32) for t in single.tensors())


def check_pickle(A: LinearOperator) -> None:
    B = pickle.loads(pickle.dumps(A))
    x = random_complex(*A.batch_shape, *A.domain_shape, seed=8)
    assert torch.equal(A(x), B(x))
    assert repr(A) == repr(B)


def check_gradients(A: LinearOperator, *, second_derivatives: bool = True) -> None:
    """Gradients to the input and to every held tensor, of A, A.H and A.gram."""
    tensors = [t.detach().clone().requires_grad_() for t in A.tensors()]
    for part in ("A", "H", "gram"):

        def apply(x: Tensor, *held: Tensor, part: str = part) -> Tensor:
            B = A.with_tensors(held)
            return {"A": B, "H": B.H, "gram": B.gram}[part](x)

        shape = A.range_shape if part == "H" else A.domain_shape
        x = random_complex(*A.batch_shape, *shape, seed=9).requires_grad_()
        assert torch.autograd.gradcheck(apply, (x, *tensors), fast_mode=True)
        if second_derivatives:
            assert torch.autograd.gradgradcheck(apply, (x, *tensors), fast_mode=True)
