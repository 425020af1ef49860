"""Unrolled regularized SENSE: a data-consistency solve and a prior network in turn."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kascade.errors import ConfigError
from kascade.physics import ConvergenceWarning, LinearOperator, Solution, regularized_sense
from kascade.unroll.schedules import LambdaSchedule, make_schedule

__all__ = ["MAX_ITERATIONS", "CascadeOutput", "Trace", "UnrolledSENSE", "apply_prior", "consistency_step"]

TOLERANCE, MAX_ITERATIONS = 1e-3, 200


@dataclass(frozen=True)
class Trace:
    """What every iteration of a cascade did; lists with one entry for each solve.

    Attributes
    ----------
    x : list of Tensor
        Images after the SENSE step, (*batch, rows, columns).
    z : list of Tensor
        Images after the prior; one fewer than `x` where the cascade ends with a SENSE step. Those of an `UnrolledSENSE`
        in training mode keep their graph: a loss may be computed from them.
    lam : list of Tensor
        Lambda of each solve, scalar or (*batch,).
    cg_iterations : list of Tensor
        int64 (*batch,).
    consistency : list of Tensor
        ||E x - y|| / ||y|| over acquired samples, (*batch,): how well x explains the data.
    """

    x: list[Tensor] = field(default_factory=list)
    z: list[Tensor] = field(default_factory=list)
    lam: list[Tensor] = field(default_factory=list)
    cg_iterations: list[Tensor] = field(default_factory=list)
    consistency: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class CascadeOutput:
    """Image (*batch, rows, columns), with the set axis where E has one, and the trace where it was asked for."""

    image: Tensor
    trace: Trace | None = None


class UnrolledSENSE(nn.Module):
    """x_n = SENSE(y; prior z_(n-1), lambda_n), z_n = U_n(x_n), z_0 = 0.

    Parameters
    ----------
    prior : nn.Module or sequence of nn.Module
        Maps complex images (*batch, rows, columns) to the same shape, see `as_prior`. One module is copied for each
        iteration (Nickel); a sequence gives each iteration its own.
    iterations : int
        Number of iterations.
    lam : str, float, sequence of float or LambdaSchedule
        See `kascade.unroll.schedules.make_schedule`.
    shared : bool
        Use one prior in all iterations (as MoDL) instead of copies.
    final_consistency : bool
        End with one more SENSE step towards z_N, with a lambda of its own: the image is then consistent with the data
        as far as that lambda lets it (a deviation from Nickel, who returns z_N).
    checkpointing : bool
        Recompute the priors in the backward pass instead of keeping their activations.
    flips : bool
        In evaluation mode, average each prior over the image and its flips up-down, left-right and both: four times
        the networks' work, a little better where they were trained on too little (the "self-ensemble" of EDSR).

    Raises
    ------
    ConfigError
        If there are no iterations, or the number of priors or lambdas is not theirs.

    Notes
    -----
    Solves run to a relative residual of 1e-3, forward and backward; an unconverged one does not warn here, its
    figures stand in the trace. Amplitudes do not matter: solves are linear, and `as_prior` normalizes each image.

    References
    ----------
    Nickel, "Can We See the Bottom?", Siemens Healthineers 2025, Fig. 4; Aggarwal et al., MoDL, IEEE TMI 38 (2019);
    flips: Lim et al., Enhanced deep residual networks (EDSR), CVPR workshops 2017, section 3.4.

    Examples
    --------
    >>> model = UnrolledSENSE(as_prior(UNet()), iterations=6, lam="learned")
    >>> out = model(E, y, trace=True)
    """

    def __init__(
        self,
        prior: nn.Module | Sequence[nn.Module],
        iterations: int = 6,
        lam: str | float | Sequence[float] | LambdaSchedule = "learned",
        shared: bool = False,
        final_consistency: bool = False,
        checkpointing: bool = False,
        flips: bool = False,
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations must be 1 or more, got {iterations}")
        self.iterations, self.final_consistency = iterations, final_consistency
        self.checkpointing, self.flips = checkpointing, flips
        self.schedule = make_schedule(lam, iterations + int(final_consistency))
        if isinstance(prior, nn.Module):
            priors = [prior] * iterations if shared else [copy.deepcopy(prior) for _ in range(iterations)]
        else:
            priors = list(prior)
        if len(priors) != iterations:
            raise ConfigError(f"{len(priors)} priors for {iterations} iterations; give one, or one for each")
        self.priors = nn.ModuleList(priors)

    def forward(self, E: LinearOperator, y: Tensor, trace: bool = False) -> CascadeOutput:
        """Reconstruct.

        Parameters
        ----------
        E : LinearOperator
            Encoding operator, image -> k-space.
        y : Tensor
            k-space, complex (*batch, coil, rows, columns).
        trace : bool
            Record every iteration.

        Returns
        -------
        CascadeOutput
        """
        record = Trace() if trace else None
        z: Tensor | None = None
        for n, prior in enumerate(self.priors):
            x = consistency_step(E, y, z, self.schedule(n, E, y), record)
            z = apply_prior(prior, E, x, self.checkpointing and self.training, self.flips and not self.training)
            if record is not None:
                record.z.append(z if self.training else z.detach())
        assert z is not None
        if self.final_consistency:
            z = consistency_step(E, y, z, self.schedule(self.iterations, E, y), record)
        return CascadeOutput(z, record)


def apply_prior(prior: nn.Module, E: LinearOperator, x: Tensor, recompute: bool, flips: bool = False) -> Tensor:
    """The prior of x, an image of E; with `recompute` its activations are not kept for the backward pass.

    With `flips` it is the mean over the image and its three flips. Map sets go to the front: the prior sees them as a
    batch, never as adjacent slices.
    """
    with_sets = getattr(E, "sets", None) is not None
    alone = with_sets and x.ndim == 3
    images = x.movedim(-3, 0) if with_sets else x
    images = images.unsqueeze(1) if alone else images

    def restored(image: Tensor) -> Tensor:
        out: Tensor = checkpoint(prior, image, use_reentrant=False) if recompute else prior(image)
        return out

    z = restored(images)
    if flips:
        for axes in ((-1,), (-2,), (-2, -1)):
            z = z + restored(images.flip(axes)).flip(axes)
        z = z / 4
    z = z.squeeze(1) if alone else z
    return z.movedim(0, -3) if with_sets else z


def consistency_step(E: LinearOperator, y: Tensor, z: Tensor | None, lam: Tensor, record: Trace | None) -> Tensor:
    """Regularized SENSE towards z, (*batch, rows, columns), at the tolerances of cascades; noted in `record`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = regularized_sense(E, y, z, lam, tol=TOLERANCE, max_iter=MAX_ITERATIONS)
    if record is not None:
        _note(record, E, y, solution, lam)
    return solution.image


@torch.no_grad()
def _note(record: Trace, E: LinearOperator, y: Tensor, solution: Solution, lam: Tensor) -> None:
    item = tuple(range(-len(E.range_shape), 0))
    acquired = y != 0
    misfit = ((E(solution.image) - y) * acquired).abs().square().sum(item)
    size = y.abs().square().sum(item)
    record.x.append(solution.image.detach())
    record.lam.append(lam.detach())
    record.cg_iterations.append(solution.iterations)
    record.consistency.append((misfit / torch.where(size > 0, size, 1)).sqrt())
