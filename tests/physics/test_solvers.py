"""Conjugate gradients against dense solves."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.physics import conjugate_gradient
from tests.battery import random_complex


def positive_definite(n: int, seed: int) -> torch.Tensor:
    a = random_complex(n, n, seed=seed)
    return a @ a.conj().T / n + 0.3 * torch.eye(n, dtype=a.dtype)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), seed=st.integers(0, 1000), warm=st.booleans())
def test_solves_like_a_dense_solver(n: int, seed: int, warm: bool) -> None:
    A, b = positive_definite(n, seed), random_complex(n, seed=seed + 1)
    start = random_complex(n, seed=seed + 2) if warm else None
    result = conjugate_gradient(lambda x: x @ A.T, b, start, item_ndim=1, tol=1e-12)
    assert bool(result.converged)
    torch.testing.assert_close(result.x, torch.linalg.solve(A, b), rtol=1e-9, atol=1e-9)
    true_residual = (b - A @ result.x).norm() / b.norm()
    assert abs(float(true_residual - result.residual)) < 1e-11


def test_each_item_stops_on_its_own() -> None:
    easy, hard = torch.eye(8, dtype=torch.complex128), positive_definite(8, 3)
    A = torch.stack([easy, hard])
    b = random_complex(2, 8)
    result = conjugate_gradient(lambda x: torch.einsum("bij,bj->bi", A, x), b, item_ndim=1, tol=1e-10)
    assert result.iterations[0] == 1 and result.iterations[1] > 4
    alone = conjugate_gradient(lambda x: x @ hard.T, b[1], item_ndim=1, tol=1e-10)
    torch.testing.assert_close(result.x[1], alone.x, rtol=1e-12, atol=1e-12)
    assert result.iterations[1] == alone.iterations


def test_zero_right_hand_side_gives_zero() -> None:
    A = positive_definite(5, 0)
    b = torch.stack([torch.zeros(5, dtype=A.dtype), random_complex(5)])
    result = conjugate_gradient(lambda x: x @ A.T, b, random_complex(2, 5), item_ndim=1, tol=1e-10)
    assert torch.equal(result.x[0], b[0]) and result.iterations[0] == 0 and bool(result.converged.all())


def test_a_start_that_solves_costs_nothing() -> None:
    A, b = positive_definite(6, 1), random_complex(6)
    result = conjugate_gradient(lambda x: x @ A.T, b, torch.linalg.solve(A, b), item_ndim=1, tol=1e-10)
    assert result.iterations == 0 and bool(result.converged)


def test_unconverged_is_said() -> None:
    A, b = positive_definite(12, 2), random_complex(12)
    seen: list[int] = []
    result = conjugate_gradient(
        lambda x: x @ A.T, b, item_ndim=1, tol=1e-12, max_iter=2, callback=lambda i, r: seen.append(i)
    )
    assert not bool(result.converged) and result.iterations == 2 and seen == [1, 2]
