"""First-order solvers for min_x 1/2 ||E x - y||^2 + g(x) with a g that is not smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ProximalResult", "fista", "primal_dual"]

Operator = Callable[[Tensor], Tensor]
Watch = Callable[[int, float], None]


@dataclass(frozen=True)
class ProximalResult:
    """What a solver found.

    Attributes
    ----------
    x : Tensor
        Solution.
    changes : list of float
        ||x_k - x_(k-1)|| / ||x_k|| for each iteration.
    converged : bool
        Whether the last change is at most `tol`.
    """

    x: Tensor
    changes: list[float]
    converged: bool


@torch.no_grad()
def fista(
    gram: Operator,
    b: Tensor,
    prox: Operator,
    *,
    step: float = 1.0,
    max_iter: int = 50,
    tol: float = 1e-3,
    watch: Watch | None = None,
) -> ProximalResult:
    """Accelerated proximal gradient.

    Parameters
    ----------
    gram : callable
        E.H @ E, of norm at most 1 / step.
    b : Tensor
        E.H y.
    prox : callable
        Proximal map of step * g.
    step : float
        Step size; 1 for an encoding operator with maps of unit norm.
    max_iter, tol
        Stop after so many iterations, or when the relative change is at most `tol`.
    watch : callable, optional
        Called as watch(iteration, relative change).

    References
    ----------
    Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009).
    """
    x, v, t = torch.zeros_like(b), torch.zeros_like(b), 1.0
    changes: list[float] = []
    for iteration in range(1, max_iter + 1):
        new = prox(v - step * (gram(v) - b))
        t_new = (1 + (1 + 4 * t * t) ** 0.5) / 2
        difference = new - x
        v = new + ((t - 1) / t_new) * difference
        x, t = new, t_new
        if _record(changes, difference, x, iteration, tol, watch):
            return ProximalResult(x, changes, True)
    return ProximalResult(x, changes, False)


@torch.no_grad()
def primal_dual(
    gram: Operator,
    b: Tensor,
    D: Operator,
    D_adjoint: Operator,
    project: Operator,
    *,
    norm_squared: float,
    x0: Tensor | None = None,
    max_iter: int = 100,
    tol: float = 1e-3,
    watch: Watch | None = None,
) -> ProximalResult:
    """Primal-dual splitting for g(x) = h(D x), h a norm: h enters through the projection onto its dual ball.

    Parameters
    ----------
    gram, b
        E.H @ E of norm at most 1, and E.H y.
    D, D_adjoint : callable
        A linear map with ||D||^2 at most `norm_squared`, and its adjoint.
    project : callable
        Projection onto the dual ball of h.
    norm_squared : float
        Bound on ||D||^2.
    x0 : Tensor, optional
        Start; `b` by default.
    max_iter, tol, watch
        As for `fista`.

    References
    ----------
    Condat, J. Optim. Theory Appl. 158 (2013), Algorithm 3.1; Vu, Adv. Comput. Math. 38 (2013).
    """
    sigma = 0.5 / norm_squared**0.5
    tau = 0.99 / (0.5 + sigma * norm_squared)  # 1 / tau - sigma ||D||^2 >= L / 2, with L = 1
    x = b.clone() if x0 is None else x0.clone()
    dual = torch.zeros_like(D(x))
    changes: list[float] = []
    for iteration in range(1, max_iter + 1):
        new = x - tau * (gram(x) - b + D_adjoint(dual))
        dual = project(dual + sigma * D(2 * new - x))
        difference, x = new - x, new
        if _record(changes, difference, x, iteration, tol, watch):
            return ProximalResult(x, changes, True)
    return ProximalResult(x, changes, False)


def _record(
    changes: list[float], difference: Tensor, x: Tensor, iteration: int, tol: float, watch: Watch | None
) -> bool:
    """Note the relative change; whether it is small enough."""
    size = float(torch.linalg.vector_norm(x))
    changes.append(float(torch.linalg.vector_norm(difference)) / size if size > 0 else 0.0)
    if watch is not None:
        watch(iteration, changes[-1])
    return changes[-1] <= tol
