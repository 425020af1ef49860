"""Proximal solvers against closed forms and optimality conditions."""

from __future__ import annotations

import pytest
import torch

from kascade.physics.proximal import admm, fista
from tests.battery import random_complex


def soft(x: torch.Tensor, threshold: float) -> torch.Tensor:
    return x * (1 - threshold / x.abs().clamp(min=1e-30)).clamp(min=0)


def lasso() -> tuple[torch.Tensor, torch.Tensor, float]:
    A = random_complex(12, 8, seed=1)
    A = A / torch.linalg.matrix_norm(A, ord=2)
    return A, A.conj().T @ random_complex(12, seed=2), 0.35


def assert_lasso_optimal(A: torch.Tensor, b: torch.Tensor, x: torch.Tensor, weight: float) -> None:
    """b - A^H A x = weight x / |x| where x != 0, and at most weight elsewhere."""
    residual, zero = b - A.conj().T @ (A @ x), x.abs() < 1e-6
    assert 0 < int(zero.sum()) < len(x), "the case must have both kinds of entries"
    torch.testing.assert_close(residual[~zero], weight * (x / x.abs())[~zero], rtol=1e-4, atol=1e-5)
    assert float(residual[zero].abs().max()) <= weight * (1 + 1e-6)


def test_fista_reaches_the_optimality_conditions() -> None:
    A, b, weight = lasso()
    seen: list[int] = []
    result = fista(
        lambda x: A.conj().T @ (A @ x),
        b,
        lambda x: soft(x, weight),
        max_iter=5000,
        tol=1e-10,
        watch=lambda i, change: seen.append(i),
    )
    assert result.converged and seen == list(range(1, len(result.changes) + 1))
    assert_lasso_optimal(A, b, result.x, weight)


@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_admm_reaches_the_optimality_conditions(rho: float) -> None:
    A, b, weight = lasso()
    result = admm(
        lambda x: A.conj().T @ (A @ x),
        b,
        lambda x: x,
        lambda x: x,
        lambda x: soft(x, weight / rho),
        rho=rho,
        inner=8,
        max_iter=3000,
        tol=1e-9,
    )
    assert result.converged
    x = torch.where(result.x.abs() < 1e-5, 0, result.x)
    assert_lasso_optimal(A, b, x, weight)


def test_stopping_early_is_said() -> None:
    A, b, weight = lasso()
    result = fista(lambda x: A.conj().T @ (A @ x), b, lambda x: soft(x, weight), max_iter=3, tol=1e-12)
    assert not result.converged and len(result.changes) == 3


def test_zero_data() -> None:
    zero = torch.zeros(4, 4, dtype=torch.complex64)
    assert not fista(lambda x: x, zero, lambda x: x).x.any()
    assert not admm(lambda x: x, zero, lambda x: x, lambda x: x, lambda x: x, rho=1.0).x.any()
