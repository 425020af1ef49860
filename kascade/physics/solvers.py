"""Conjugate gradients for Hermitian positive definite systems, batched, each item stopping on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CGResult", "conjugate_gradient", "largest_eigenvalue"]


@dataclass(frozen=True)
class CGResult:
    """What `conjugate_gradient` found.

    Attributes
    ----------
    x : Tensor
        Solution, (*batch, *item).
    iterations : Tensor
        int64 (*batch,): operator applications spent on each item.
    residual : Tensor
        Real (*batch,): ||b - A x|| / ||b|| of each item as CG's recursion has it; 0 where b = 0.
    converged : Tensor
        bool (*batch,): residual <= tol.
    """

    x: Tensor
    iterations: Tensor
    residual: Tensor
    converged: Tensor


@torch.no_grad()
def conjugate_gradient(
    A: Callable[[Tensor], Tensor],
    b: Tensor,
    x0: Tensor | None = None,
    *,
    item_ndim: int = 2,
    tol: float = 1e-6,
    max_iter: int = 500,
    callback: Callable[[int, Tensor], None] | None = None,
) -> CGResult:
    """Solve A x = b for a Hermitian positive (semi)definite A.

    Parameters
    ----------
    A : callable
        Applies the operator to (*batch, *item).
    b : Tensor
        Right-hand side, complex (*batch, *item).
    x0 : Tensor, optional
        Start; zeros by default.
    item_ndim : int
        Number of trailing axes that make one item; every item is a system of its own.
    tol : float
        An item stops when ||r|| / ||b|| <= tol.
    max_iter : int
        Largest number of iterations.
    callback : callable, optional
        Called as callback(iteration, residual) after each iteration, for progress.

    Returns
    -------
    CGResult

    References
    ----------
    Hestenes and Stiefel, J. Res. NBS 49 (1952).
    """
    batch, item = b.shape[: b.ndim - item_ndim], b.shape[b.ndim - item_ndim :]

    def columns(t: Tensor) -> Tensor:
        return t.reshape(-1, item.numel())

    def norm_squared(t: Tensor) -> Tensor:
        power: Tensor = torch.linalg.vecdot(t, t).real
        return power

    flat_b = columns(b)
    x = torch.zeros_like(flat_b) if x0 is None else columns(x0.expand(b.shape)).clone()
    r = flat_b.clone() if x0 is None else flat_b - columns(A(x.reshape(b.shape)))
    p = r.clone()
    r2, b2 = norm_squared(r), norm_squared(flat_b)
    x[b2 == 0] = 0  # the solution, also where x0 says otherwise
    limit = tol**2 * b2
    active = (r2 > limit) & (b2 > 0)
    iterations = torch.zeros(len(flat_b), dtype=torch.int64, device=b.device)
    for iteration in range(1, max_iter + 1):
        if not bool(active.any()):
            break
        q = columns(A(p.reshape(b.shape)))
        curvature = torch.linalg.vecdot(p, q).real
        step = torch.where(active, r2 / curvature, 0).unsqueeze(-1)
        x.addcmul_(p, step.to(x.dtype))
        r.addcmul_(q, -step.to(x.dtype))
        r2_new = torch.where(active, norm_squared(r), r2)
        p.mul_(torch.where(active, r2_new / r2, 0).unsqueeze(-1)).add_(r)
        r2 = r2_new
        iterations += active
        active = active & (r2 > limit)
        if callback is not None:
            callback(iteration, _relative(r2, b2))
    residual = _relative(r2, b2)
    return CGResult(
        x.reshape(b.shape), iterations.reshape(batch), residual.reshape(batch), (residual <= tol).reshape(batch)
    )


@torch.no_grad()
def largest_eigenvalue(
    A: Callable[[Tensor], Tensor], start: Tensor, iterations: int = 15, margin: float = 1.05
) -> float:
    """Upper estimate of the largest eigenvalue of a Hermitian positive semidefinite A, by power iteration.

    Parameters
    ----------
    A : callable
        The operator.
    start : Tensor
        Complex, any item that is not zero; it decides shape and device.
    iterations : int
        Applications of A.
    margin : float
        Factor on the last estimate, which comes from below.
    """
    x, value = start, 0.0
    for _ in range(iterations):
        x = A(x / torch.linalg.vector_norm(x).clamp(min=1e-30))
        value = float(torch.linalg.vector_norm(x))
    return margin * value


def _relative(r2: Tensor, b2: Tensor) -> Tensor:
    return torch.where(b2 > 0, r2 / torch.where(b2 > 0, b2, 1), 0).sqrt()
