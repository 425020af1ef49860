"""MoDL: one shared denoiser and exact data consistency in turn."""

from __future__ import annotations

import copy
import math

from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.physics import LinearOperator
from kascade.unroll.cascade import CascadeOutput, Trace, apply_prior, consistency_step
from kascade.unroll.schedules import Tied, make_schedule

__all__ = ["MoDL"]

LAMBDA_MODL = 0.05  # where the authors' training starts


class MoDL(nn.Module):
    """z_k = D(x_k), x_(k+1) = argmin ||E x - y||^2 + lambda_MoDL ||x - z_k||^2, x_0 = E^H y; returns x_K.

    Parameters
    ----------
    prior : nn.Module
        The denoiser D, complex images (*batch, rows, columns) -> the same shape, see `as_prior`; the same one in all
        iterations. The paper's is ``make_prior("residual-cnn")``.
    iterations : int
        Number of iterations K.
    lam : {"learned", "tied"} or float
        One trained lambda for all iterations, or a given one, in Kascade's meaning (the gain bound):
        lambda_MoDL = 1 / (4 lam^2).
    checkpointing : bool
        Recompute the denoiser in the backward pass instead of keeping its activations.

    Notes
    -----
    Where it differs from the authors' code: conjugate gradients run to a tolerance, not for ten iterations; lambda's
    gradient includes the part through the inverse, which theirs drops; and `as_prior` normalizes each image, so that no
    amplitude matters. The number of iterations is no part of the state dict: weights trained with one load into ten.

    References
    ----------
    Aggarwal, Mani, Jacob: MoDL, IEEE TMI 38 (2019).

    Examples
    --------
    >>> first = MoDL(make_prior("residual-cnn"), iterations=1)
    >>> model = first.with_iterations(10)
    """

    def __init__(
        self, prior: nn.Module, iterations: int = 10, lam: str | float = "learned", checkpointing: bool = False
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations must be 1 or more, got {iterations}")
        self.prior, self.iterations, self.checkpointing = prior, iterations, checkpointing
        learned = lam in ("learned", "tied")
        self.schedule = Tied(1, math.sqrt(1 / (4 * LAMBDA_MODL))) if learned else make_schedule(lam, 1)

    def with_iterations(self, iterations: int) -> MoDL:
        """As this model, with copies of its weights: the paper trains one iteration, then starts ten from it."""
        if iterations < 1:
            raise ConfigError(f"iterations must be 1 or more, got {iterations}")
        model = copy.deepcopy(self)
        model.iterations = iterations
        return model

    def forward(self, E: LinearOperator, y: Tensor, trace: bool = False) -> CascadeOutput:
        """Reconstruct.

        Parameters
        ----------
        E : LinearOperator
            Encoding operator, image -> k-space.
        y : Tensor
            k-space, complex (*batch, coil, rows, columns).
        trace : bool
            Record every iteration; here z_k comes before the x that it leads to.

        Returns
        -------
        CascadeOutput
        """
        record = Trace() if trace else None
        lam = self.schedule(0, E, y)
        x = E.H(y)
        for _ in range(self.iterations):
            z = apply_prior(self.prior, E, x, self.checkpointing and self.training)
            x = consistency_step(E, y, z, lam, record)
            if record is not None:
                record.z.append(z.detach())
        return CascadeOutput(x, record)
