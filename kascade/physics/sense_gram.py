"""E.H @ E of Cartesian SENSE, coil by coil: the hot path of every reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from kascade.physics import kernels
from kascade.physics.coils import Coils
from kascade.physics.kernels.gram import KernelGram, gram_by_kernels
from kascade.physics.operator import LinearOperator
from kascade.physics.sampling import FourierFilter, filter_axes

__all__ = ["SenseGram", "item_by_item"]

BLOCK_SAMPLES = 2**19  # complex64: 4 MB, of the order of a last-level cache


@dataclass(frozen=True, eq=False, repr=False)
class SenseGram(LinearOperator):
    """`Coils.H @ FourierFilter @ Coils`, which is E.H @ E, with the smallest working set.

    One coil image at a time goes through map, transform, weights, transform and map in place, so that it stays in the
    cache; readout transforms and shifts have cancelled (see `FourierFilter`). On a GPU with CuPy, kernels do it (see
    `kascade.physics.kernels`). Where a graph is being recorded the plain, differentiable expression is used instead.

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
        return tuple(torch.broadcast_shapes(coils.batch_shape, between.batch_shape))

    def _apply(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, self.maps, self.weights)):
            coils, between = self.expression
            return coils._adjoint(between._apply(coils._apply(x)))
        if kernels.fit(x, self.maps):
            return self._by_kernels(x)
        batch = torch.broadcast_shapes(x.shape[: x.ndim - len(self.domain_shape)], self.batch_shape)
        return item_by_item(self._block, (x, self.maps, self._filter(x.real.dtype)), self._ranks(), batch)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)

    @cached_property
    def _by_kernels(self) -> KernelGram:
        return gram_by_kernels(self.maps, self.weights, self.ndim, self.sets)

    def _ranks(self) -> tuple[int, int, int]:
        """Axes of one item of x, maps and filter weights."""
        sets = 0 if self.sets is None else 1
        return self.ndim + sets, self.ndim + 1 + sets, self.ndim + 1

    def _filter(self, dtype: torch.dtype) -> Tensor:
        """Weights for one coil, shifted to FFT order, as pairs (w, -w) / n that also conjugate: (*batch, *space, 2)."""
        axes = filter_axes(self.weights, self.ndim)
        weights = self.weights.reshape((1,) * (self.ndim + 1 - self.weights.ndim) + tuple(self.weights.shape))
        weights = torch.fft.ifftshift(weights.to(dtype), dim=axes).squeeze(-self.ndim - 1)
        n = prod(self.maps.shape[axis] for axis in axes)
        return torch.stack((weights, -weights), dim=-1) / n

    def _block(self, batch: tuple[int, ...], x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        # conj(ifft(v)) = fft(conj(v)) / n: all after the filter stays conjugated, so that conj(maps) is never formed.
        axes = filter_axes(self.weights, self.ndim)
        space = self.domain_shape[-self.ndim :]
        x = x if self.sets is not None else x.unsqueeze(-self.ndim - 1)
        maps = maps if self.sets is not None else maps.unsqueeze(-self.ndim - 2)
        images = x.unbind(-self.ndim - 1)
        map_sets = [one_set.unbind(-self.ndim - 1) for one_set in maps.unbind(-self.ndim - 2)]
        totals = [torch.zeros(*batch, *space, dtype=x.dtype, device=x.device) for _ in images]
        buffer = torch.empty_like(totals[0])
        for coil_maps in zip(*map_sets, strict=True):
            torch.mul(coil_maps[0], images[0], out=buffer)
            for s, image in zip(coil_maps[1:], images[1:], strict=True):
                buffer.addcmul_(s, image)
            # A transform always comes in a new tensor. Only one is alive at a time, so that its memory is used again.
            spectrum = torch.fft.fftn(buffer, dim=axes)
            torch.mul(torch.view_as_real(spectrum), weights, out=torch.view_as_real(buffer))
            del spectrum
            filtered = torch.fft.fftn(buffer, dim=axes)
            for s, total in zip(coil_maps, totals, strict=True):
                total.addcmul_(s, filtered)
            del filtered
        result = totals[0] if self.sets is None else torch.stack(totals, dim=-self.ndim - 1)
        return result.conj_physical_()


def item_by_item(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor],
    ranks: Sequence[int],
    batch: tuple[int, ...],
    together: int = BLOCK_SAMPLES,
) -> Tensor:
    """`function(batch, *tensors)`, called for one item of the batch after the other where items are large.

    Small items go together, and so do all on a GPU.

    Parameters
    ----------
    function : callable
        Takes the batch shape and the tensors, gives (*batch, *item).
    tensors : sequence of Tensor
        Each (*its batch, *its item); their batches broadcast to `batch`. The first one's item counts as the size.
    ranks : sequence of int
        Axes of one item of each tensor.
    batch : tuple of int
        Batch axes of the result.
    together : int
        Samples (of the first tensor) up to which items go together.
    """
    size = prod(batch) * prod(tensors[0].shape[tensors[0].ndim - ranks[0] :])
    if not batch or tensors[0].is_cuda or size <= together:
        return function(batch, *tensors)
    tensors = [t.expand(*batch, *t.shape[t.ndim - n :]) for t, n in zip(tensors, ranks, strict=True)]
    return torch.stack(
        [item_by_item(function, [t[i] for t in tensors], ranks, batch[1:], together) for i in range(batch[0])]
    )
