"""The encoding operator E = Sampling @ Fourier @ Coils: from an image to the k-space that the scanner measures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.coils import Coils
from kascade.physics.fourier import Fourier
from kascade.physics.operator import LinearOperator
from kascade.physics.sampling import Sampling
from kascade.physics.sense_adjoint import sense_adjoint

__all__ = ["Encoding"]


@dataclass(frozen=True, eq=False, repr=False)
class Encoding(LinearOperator):
    """Coil maps, Fourier transform and sampling mask in one operator.

    Parameters
    ----------
    maps : Tensor
        Coil maps, complex (*batch, coil, *space), or (*batch, set, coil, *space) with `sets`; the sum over coils of abs
        squared is 1 on the support (then the norm of E is at most 1 for one set).
    mask : Tensor, optional
        Real 0/1 mask as in `Sampling`; absent: fully sampled.
    ndim : int
        Spatial axes, 2 or 3.
    sets : int, optional
        Number of map sets; images then carry a set axis (soft-SENSE).

    Raises
    ------
    ShapeError
        If mask and maps do not fit together.

    Examples
    --------
    >>> E = Encoding(maps, mask)
    >>> image = regularized_sense(E, y, lam=5.0).image

    References
    ----------
    Pruessmann et al., SENSE, MRM 42 (1999); Uecker et al., ESPIRiT, MRM 71 (2014).
    """

    maps: Tensor
    mask: Tensor | None = None
    ndim: int = 2
    sets: int | None = None

    def __post_init__(self) -> None:
        _ = self.expression  # raises ShapeError where the pieces do not fit

    @property
    def expression(self) -> LinearOperator:
        """The same operator, spelled out: Sampling @ Fourier @ Coils."""
        coils = Coils(self.maps, self.ndim, self.sets)
        spectrum = Fourier(coils.range_shape, self.ndim) @ coils
        return spectrum if self.mask is None else Sampling(self.mask, coils.range_shape, self.ndim) @ spectrum

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.expression.domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.expression.range_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.expression.batch_shape

    @property
    def gram(self) -> LinearOperator:
        return self.expression.gram

    def _apply(self, x: Tensor) -> Tensor:
        return self.expression._apply(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        recorded = torch.is_grad_enabled() and any(t.requires_grad for t in (y, *self.tensors()))
        if recorded or y.dtype != self.maps.dtype:
            return self.expression._adjoint(y)
        return sense_adjoint(self.maps, self.mask, y, self.ndim, self.sets)

    def __repr__(self) -> str:
        return repr(self.expression)
