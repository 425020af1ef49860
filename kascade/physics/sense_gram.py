"""E.H @ E of Cartesian SENSE, coil by coil: the hot path of every reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.coils import Coils
from kascade.physics.operator import LinearOperator
from kascade.physics.sampling import FourierFilter, filter_axes

__all__ = ["SenseGram"]


@dataclass(frozen=True, eq=False, repr=False)
class SenseGram(LinearOperator):
    """`Coils.H @ FourierFilter @ Coils`, which is E.H @ E, with the smallest working set.

    One coil image at a time goes through map, transform, weights, transform and map in place, so that it stays in the
    cache; readout transforms and shifts have cancelled (see `FourierFilter`). Where a graph is being recorded the plain,
    differentiable expression is used instead.

    Parameters
    ----------
    maps : Tensor
        Coil maps as in `Coils`.
    weights : Tensor
        Squared mask, laid out like the mask of `Sampling`.
    ndim : int
        Spatial axes, 2 or 3.
    sets : int, optional
        Number of map sets.
    """

    maps: Tensor
    weights: Tensor
    ndim: int = 2
    sets: int | None = None
    hermitian = True

    @property
    def expression(self) -> tuple[Coils, FourierFilter]:
        """The coils and the filter between them."""
        coils = Coils(self.maps, self.ndim, self.sets)
        return coils, FourierFilter(self.weights, coils.range_shape, self.ndim)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.expression[0].domain_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.expression[0].domain_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        coils, between = self.expression
        return torch.broadcast_shapes(coils.batch_shape, between.batch_shape)

    def _apply(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, self.maps, self.weights)):
            coils, between = self.expression
            return coils._adjoint(between._apply(coils._apply(x)))
        batch = torch.broadcast_shapes(x.shape[: x.ndim - len(self.domain_shape)], self.batch_shape)
        weights = self._filter(x.real.dtype)
        if not batch:
            return self._one_item(x, self.maps, weights)
        x, maps, weights = (_flat_batch(t, batch, n) for t, n in zip((x, self.maps, weights), self._ranks(), strict=True))
        items = [self._one_item(*item) for item in zip(x, maps, weights, strict=True)]
        return torch.stack(items).reshape(*batch, *self.domain_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)

    def _ranks(self) -> tuple[int, int, int]:
        """Axes of one item of x, maps and filter weights."""
        sets = 0 if self.sets is None else 1
        return self.ndim + sets, self.ndim + 1 + sets, self.ndim + 1

    def _filter(self, dtype: torch.dtype) -> Tensor:
        """Weights for one coil, shifted to FFT order, as pairs (w, -w) / n that also conjugate: (*batch, *space, 2)."""
        axes = filter_axes(self.weights, self.ndim)
        weights = self.weights.reshape((1,) * (self.ndim + 1 - self.weights.ndim) + tuple(self.weights.shape))
        weights = torch.fft.ifftshift(weights.to(dtype), dim=axes).squeeze(-self.ndim - 1)
        n = 1
        for axis in axes:
            n *= self.maps.shape[axis]
        return torch.stack((weights, -weights), dim=-1) / n

    def _one_item(self, x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        # conj(ifft(v)) = fft(conj(v)) / n: everything after the filter is kept conjugated, so that conj(maps) is never formed.
        axes = filter_axes(self.weights, self.ndim)
        x, maps = (x, maps) if self.sets is not None else (x[None], maps[None])
        total = torch.zeros(x.shape, dtype=torch.promote_types(x.dtype, maps.dtype), device=x.device)
        buffer = torch.empty_like(total[0])
        for coil in range(maps.shape[1]):
            torch.mul(maps[0, coil], x[0], out=buffer)
            for s, x_set in zip(maps[1:, coil], x[1:], strict=True):
                buffer.addcmul_(s, x_set)
            torch.fft.fftn(buffer, dim=axes, out=buffer)
            torch.view_as_real(buffer).mul_(weights)
            torch.fft.fftn(buffer, dim=axes, out=buffer)
            for s, total_set in zip(maps[:, coil], total, strict=True):
                total_set.addcmul_(s, buffer)
        total = total.conj_physical_()
        return total if self.sets is not None else total[0]


def _flat_batch(tensor: Tensor, batch: tuple[int, ...], item_axes: int) -> Tensor:
    """Expand the batch axes of `tensor` to `batch` and flatten them."""
    item = tensor.shape[tensor.ndim - item_axes :]
    return tensor.expand(*batch, *item).reshape(-1, *item)
