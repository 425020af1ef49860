"""Coil sensitivities as an operator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kascade.errors import ShapeError
from kascade.physics.diagonal import Diagonal
from kascade.physics.operator import Gram, LinearOperator

__all__ = ["Coils"]


@dataclass(frozen=True, eq=False, repr=False)
class Coils(LinearOperator):
    """Multiplication by coil maps: image -> coil images (SENSE: Pruessmann et al., MRM 1999).

    Parameters
    ----------
    maps : Tensor
        Complex (*batch, coil, *space), or (*batch, set, coil, *space) when `sets` is given.
    ndim : int
        Spatial axes, 2 or 3.
    sets : int, optional
        Number of map sets (soft-SENSE, ESPIRiT: Uecker et al., MRM 2014); images are then (*batch, set, *space) and the
        coil images are summed over sets.

    Raises
    ------
    ShapeError
        If `maps` has too few axes, or its set axis is not `sets` long.
    """

    maps: Tensor
    ndim: int = 2
    sets: int | None = None

    def __post_init__(self) -> None:
        axes = self.ndim + (1 if self.sets is None else 2)
        if self.maps.ndim < axes or not self.maps.is_complex():
            layout = "coil" if self.sets is None else "set, coil"
            raise ShapeError(
                f"Coils: maps must be complex (*batch, {layout}, {'depth, ' * (self.ndim - 2)}rows, columns), "
                f"got {self.maps.dtype} {tuple(self.maps.shape)}"
            )
        if self.sets is not None and self.maps.shape[-axes] != self.sets:
            raise ShapeError(
                f"Coils: sets={self.sets}, but axis {-axes} of the maps {tuple(self.maps.shape)} is "
                f"{self.maps.shape[-axes]} long; give maps as (*batch, set, coil, rows, columns)"
            )

    @property
    def domain_shape(self) -> tuple[int, ...]:
        space = tuple(self.maps.shape[-self.ndim :])
        return space if self.sets is None else (self.sets, *space)

    @property
    def range_shape(self) -> tuple[int, ...]:
        return tuple(self.maps.shape[-self.ndim - 1 :])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.maps.shape[: self.maps.ndim - self.ndim - (1 if self.sets is None else 2)])

    def _apply(self, x: Tensor) -> Tensor:
        coil_images = self.maps * x.unsqueeze(-self.ndim - 1)
        return coil_images if self.sets is None else coil_images.sum(-self.ndim - 2)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self.sets is not None:
            y = y.unsqueeze(-self.ndim - 2)
        return (self.maps.conj() * y).sum(-self.ndim - 1)

    @property
    def gram(self) -> LinearOperator:
        if self.sets is not None:
            return Gram(self)
        return Diagonal(self.maps.abs().square().sum(-self.ndim - 1), self.domain_shape)

    def sandwich(self, inner: LinearOperator) -> LinearOperator:
        from kascade.physics.sampling import FourierFilter
        from kascade.physics.sense_gram import SenseGram

        per_coil = (
            isinstance(inner, FourierFilter)
            and inner.weights.ndim > self.ndim
            and inner.weights.shape[-self.ndim - 1] > 1
        )
        if isinstance(inner, FourierFilter) and not per_coil:
            return SenseGram(self.maps, inner.weights, self.ndim, self.sets)
        return super().sandwich(inner)
