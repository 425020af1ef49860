"""Regularized SENSE in Nickel's sense: a solve pulled towards a prior image, differentiable to all it depends on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kascade.errors import ConfigError
from kascade.physics.operator import LinearOperator, check_shape
from kascade.physics.solvers import conjugate_gradient

__all__ = ["ConvergenceWarning", "Solution", "penalty", "regularized_sense"]


class ConvergenceWarning(UserWarning):
    """An iterative solve stopped at max_iter before it reached its tolerance."""


@dataclass(frozen=True)
class Solution:
    """What `regularized_sense` returns.

    Attributes
    ----------
    image : Tensor
        Complex (*batch, rows, columns), with a set axis where E has one.
    iterations : Tensor
        int64 (*batch,): CG iterations of each item.
    residual : Tensor
        Real (*batch,): ||b - (E^H E + a I) x|| / ||b|| of each item.
    converged : Tensor
        bool (*batch,).
    """

    image: Tensor
    iterations: Tensor
    residual: Tensor
    converged: Tensor


def penalty(lam: float | Tensor) -> float | Tensor:
    """The factor a = 1 / (4 lam^2) of the squared distance to the prior.

    The noise map (E^H E + a I)^-1 E^H has singular values s / (s^2 + a) <= 1 / (2 sqrt(a)) = lam: lambda bounds the
    noise amplification, and is attained where some s = 1 / (2 lam) (Nickel 2025; the bound is the AM-GM inequality).
    """
    return 1 / (4 * lam**2)


def regularized_sense(
    E: LinearOperator,
    y: Tensor,
    prior: Tensor | None = None,
    lam: float | Tensor = 5.0,
    tol: float = 1e-6,
    max_iter: int = 500,
) -> Solution:
    """Minimize ||E x - y||^2 + a ||x - z||^2 with a = 1 / (4 lam^2), by conjugate gradients started at the prior z.

    The backward pass is one more solve with the same operator (implicit differentiation), so that memory does not
    grow with iterations; gradients reach `y`, `prior`, `lam` and every tensor of `E`, to any order with create_graph.

    Parameters
    ----------
    E : LinearOperator
        Encoding operator, image -> k-space.
    y : Tensor
        k-space, complex (*batch, coil, rows, columns); samples outside the mask are ignored.
    prior : Tensor, optional
        Prior image z, (*batch, rows, columns); zero by default (plain regularized SENSE).
    lam : float or Tensor
        Regularization strength, scalar or (*batch,): an upper bound on noise amplification for white unit noise in
        `y` and maps whose sum of squares is at most 1. Small: stay at the prior; large: unregularized SENSE (`math.inf`
        allowed).
    tol : float
        Stop an item when the relative residual of the normal equations is below this; the backward solve, too.
    max_iter : int
        Largest number of CG iterations.

    Returns
    -------
    Solution

    Raises
    ------
    ShapeError
        If `y` or `prior` do not fit `E`.
    ConfigError
        If `lam` is not positive, or its shape is not that of the batch.

    Warns
    -----
    ConvergenceWarning
        If an item has not reached `tol` after `max_iter` iterations; its `converged` is False.

    References
    ----------
    Nickel, "Can We See the Bottom?", Siemens Healthineers 2025, Fig. 1; Pruessmann et al., MRM 46 (2001).
    """
    check_shape(y, E.range_shape, E.batch_shape, f"regularized_sense: y for {E!r}")
    b = E.H(y)
    if prior is not None:
        check_shape(prior, E.domain_shape, E.batch_shape, f"regularized_sense: prior for {E!r}")
        batch = torch.broadcast_shapes(prior.shape, b.shape)
        b, prior = b.expand(batch), prior.expand(batch)
    a = _penalty_of_batch(lam, b, len(E.domain_shape))
    if prior is not None:
        b = b + a * prior
    report: list[_Report] = []
    settings = _Settings(E, tol, max_iter, report)
    start = None if prior is None else prior.detach()
    image: Tensor = _InverseNormal.apply(settings, start, b, a, *E.tensors())  # type: ignore[no-untyped-call]
    result = report[0]
    if not bool(result.converged.all()):
        warnings.warn(
            f"regularized_sense: {int((~result.converged).sum())} of {result.converged.numel()} solves stopped after "
            f"{max_iter} iterations at a relative residual of {float(result.residual.max()):.1e} "
            f"(tolerance {tol:.1e}); raise max_iter or tol, or lower lam",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Solution(image, result.iterations, result.residual, result.converged)


def _penalty_of_batch(lam: float | Tensor, b: Tensor, item_ndim: int) -> Tensor:
    """A = 1 / (4 lam^2), real, shaped (*batch, 1, 1) to multiply images."""
    lam = torch.as_tensor(lam, dtype=b.real.dtype, device=b.device)
    if bool((lam <= 0).any()) or bool(lam.isnan().any()):
        raise ConfigError(
            f"lam must be positive (small = stay at the prior, large = unregularized SENSE), got {lam.tolist()}"
        )
    batch = b.shape[: b.ndim - item_ndim]
    if lam.ndim > 0 and tuple(lam.shape) != tuple(batch):
        raise ConfigError(f"lam must be a scalar or have the batch shape {tuple(batch)}, got {tuple(lam.shape)}")
    a = penalty(lam)
    assert isinstance(a, Tensor)
    return a.reshape(*lam.shape, *(1,) * item_ndim) if lam.ndim > 0 else a


@dataclass(frozen=True)
class _Report:
    """What a solve tells. Not its image: the graph of the image holds the report, and would never be freed."""

    iterations: Tensor
    residual: Tensor
    converged: Tensor


@dataclass(frozen=True)
class _Settings:
    """What a solve needs besides tensors; `report` receives what the forward solve tells."""

    E: LinearOperator
    tol: float
    max_iter: int
    report: list[_Report]


class _InverseNormal(torch.autograd.Function):
    """x = (E^H E + a I)^-1 b.

    With M = E^H E + a I and the incoming gradient g, v = M^-1 g gives db = v, da = -Re<v, x>, and for any tensor t of E
    the gradient of -Re<E_t v, E_t x> with v and x held fixed.
    """

    @staticmethod
    def forward(ctx: Any, settings: _Settings, start: Tensor | None, b: Tensor, a: Tensor, *tensors: Tensor) -> Tensor:
        E = settings.E.with_tensors(tensors)
        gram = E.gram
        result = conjugate_gradient(
            gram._apply,
            b,
            start,
            shift=a,
            item_ndim=len(E.domain_shape),
            tol=settings.tol,
            max_iter=settings.max_iter,
        )
        settings.report.append(_Report(result.iterations, result.residual, result.converged))
        ctx.settings = settings
        ctx.save_for_backward(result.x, a, *tensors)
        return result.x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, a, *tensors = ctx.saved_tensors
        settings: _Settings = ctx.settings
        adjoint = _Settings(settings.E, settings.tol, settings.max_iter, [])
        v: Tensor = _InverseNormal.apply(adjoint, None, g, a, *tensors)  # type: ignore[no-untyped-call]
        grad_a = None
        if ctx.needs_input_grad[3]:
            grad_a = -(v.conj() * x).real.sum_to_size(a.shape)
        wanted = ctx.needs_input_grad[4:]
        found = iter(_bilinear_grads(settings.E, v, x, tensors, wanted) if any(wanted) else ())
        grads = [next(found) if w else None for w in wanted]
        return (None, None, v if ctx.needs_input_grad[2] else None, grad_a, *grads)


def _bilinear_grads(
    E: LinearOperator, v: Tensor, x: Tensor, tensors: list[Tensor], wanted: tuple[bool, ...]
) -> tuple[Tensor, ...]:
    """Gradient of -Re<E v, E x> to the wanted tensors of E, with v and x held fixed.

    They stay attached to the graph where second derivatives are wanted.
    """
    higher = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases: the gradient sought is the partial one, not that through v and x.
        aliases = [
            t.view_as(t) if higher else t.detach().requires_grad_(w) for t, w in zip(tensors, wanted, strict=True)
        ]
        E = E.with_tensors(aliases)
        form = -(E._apply(v).conj() * E._apply(x)).real.sum()
        inputs = [t for t, w in zip(aliases, wanted, strict=True) if w]
        return torch.autograd.grad(form, inputs, create_graph=higher)
