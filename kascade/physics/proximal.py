"""First-order solvers for min_x 1/2 ||E x - y||^2 + g(x) with a g that is not smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.solvers import conjugate_gradient

__all__ = ["ProximalResult", "admm", "fista"]

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
def admm(
    gram: Operator,
    b: Tensor,
    D: Operator,
    D_adjoint: Operator,
    shrink: Operator,
    *,
    rho: float,
    inner: int = 3,
    max_iter: int = 50,
    tol: float = 1e-3,
    watch: Watch | None = None,
) -> ProximalResult:
    """Alternating direction method of multipliers for g(x) = h(D x).

    Each iteration solves (E^H E + rho D^H D) x = b + rho D^H (d - u) by a few warm-started conjugate gradient steps,
    which undo aliasing far faster than plain gradient steps, then shrinks d.

    Parameters
    ----------
    gram, b
        E.H @ E and E.H y.
    D, D_adjoint : callable
        A linear map and its adjoint.
    shrink : callable
        Proximal map of h / rho.
    rho : float
        Penalty of the splitting; any value leads to the same solution, at a different speed.
    inner : int
        Conjugate gradient steps for each iteration.
    max_iter, tol, watch
        As for `fista`.

    References
    ----------
    Boyd et al., Found. Trends Mach. Learn. 3 (2011), section 3.
    """
    x = b.clone()
    u = torch.zeros_like(D(x))
    changes: list[float] = []
    for iteration in range(1, max_iter + 1):
        shifted = D(x) + u
        d = shrink(shifted)
        u = shifted - d
        new = conjugate_gradient(
            lambda p: gram(p) + rho * D_adjoint(D(p)),
            b + rho * D_adjoint(d - u),
            x,
            item_ndim=b.ndim,
            tol=0.1 * tol,
            max_iter=inner,
        ).x
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
