"""Conjugate gradients for Hermitian positive definite systems, batched, each item stopping on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics import kernels
from kascade.physics.kernels.updates import KernelUpdates

__all__ = ["CGResult", "Updates", "conjugate_gradient", "largest_eigenvalue"]

CHECK_EVERY = 4  # iterations on a GPU between two looks at whether all items are done


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
    shift: float | Tensor | None = None,
    item_ndim: int = 2,
    tol: float = 1e-6,
    max_iter: int = 500,
    callback: Callable[[int, Tensor], None] | None = None,
) -> CGResult:
    """Solve (A + shift) x = b for a Hermitian positive (semi)definite A.

    Parameters
    ----------
    A : callable
        Applies the operator to (*batch, *item).
    b : Tensor
        Right-hand side, complex (*batch, *item).
    x0 : Tensor, optional
        Start; zeros by default.
    shift : float or Tensor, optional
        Real, a number or one for each item, (*batch, 1, ...): what is added to the diagonal of A; zero by default.
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

    flat_b = columns(b)
    a = torch.as_tensor(0 if shift is None else shift, dtype=b.real.dtype, device=b.device)
    a = a.expand(*batch, *(1,) * item_ndim).reshape(-1)
    x, r = torch.zeros_like(flat_b), flat_b.clone()
    if x0 is not None:
        x = columns(x0.expand(b.shape)).clone()
        r = flat_b - columns(A(x.reshape(b.shape))) - a.unsqueeze(-1) * x
    r2, b2 = _norm_squared(r), _norm_squared(flat_b)
    x.masked_fill_((b2 == 0).unsqueeze(-1), 0)  # the solution, also where x0 says otherwise
    limit = tol**2 * b2
    engine = KernelUpdates if kernels.fit(b) else Updates
    state = engine(x, r, a, limit, r2, (r2 > limit) & (b2 > 0))
    # Items that are done stay as they are, so that a GPU need not be waited for after each iteration.
    every = CHECK_EVERY if b.is_cuda and callback is None else 1
    for iteration in range(1, max_iter + 1):
        if (iteration - 1) % every == 0 and not bool(state.active.any()):
            break
        state(columns(A(state.p.reshape(b.shape))))
        if callback is not None:
            callback(iteration, _relative(state.r2, b2))
    residual = _relative(state.r2, b2)
    return CGResult(
        state.x.reshape(b.shape),
        state.iterations.reshape(batch),
        residual.reshape(batch),
        (residual <= tol).reshape(batch),
    )


class Updates:
    """The vectors of conjugate gradients, and what one iteration does to them.

    Parameters
    ----------
    x, r : Tensor
        Start and its residual, (items, samples); both are changed.
    shift, limit, r2 : Tensor
        Real (items,): what is added to the operator's diagonal, |r|^2 at which an item is done, |r|^2.
    active : Tensor
        bool (items,): the others stay as they are.
    """

    def __init__(self, x: Tensor, r: Tensor, shift: Tensor, limit: Tensor, r2: Tensor, active: Tensor) -> None:
        self.x, self.r, self.p, self.shift, self.limit = x, r, r.clone(), shift.unsqueeze(-1), limit
        self.r2, self.active = r2, active
        self.iterations = torch.zeros(len(r), dtype=torch.int64, device=r.device)

    def __call__(self, q: Tensor) -> None:
        """One iteration, with q = A p."""
        q = q + self.shift * self.p
        curvature = torch.linalg.vecdot(self.p, q).real
        step = torch.where(self.active, self.r2 / curvature, 0).unsqueeze(-1).to(q.dtype)
        self.x.addcmul_(self.p, step)
        self.r.addcmul_(q, -step)
        r2 = torch.where(self.active, _norm_squared(self.r), self.r2)
        self.p.mul_(torch.where(self.active, r2 / self.r2, 0).unsqueeze(-1)).add_(self.r)
        self.r2 = r2
        self.iterations += self.active
        self.active = self.active & (r2 > self.limit)


def _norm_squared(t: Tensor) -> Tensor:
    power: Tensor = torch.linalg.vecdot(t, t).real
    return power


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
