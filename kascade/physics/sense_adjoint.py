"""E.H of Cartesian SENSE, coil by coil: no shifts, no readout transform of columns that are not acquired."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kascade.physics.sense_gram import item_by_item

__all__ = ["sense_adjoint"]


def sense_adjoint(maps: Tensor, mask: Tensor | None, y: Tensor, ndim: int = 2, sets: int | None = None) -> Tensor:
    """Apply `Coils.H @ Fourier.H @ Sampling.H` to k-space, recording no graph.

    With c = n // 2 the centered inverse transform along an axis of length n is x[j] = p[j] ifft(q y)[j], where
    q[k] = exp(-2 pi i k c / n) and p[j] = exp(2 pi i (c - j) c / n): q is multiplied into the mask, and p is common to
    all coils, so that no coil is shifted.

    Parameters
    ----------
    maps : Tensor
        Coil maps as in `Coils`.
    mask : Tensor or None
        As in `Sampling`.
    y : Tensor
        k-space, complex (*batch, coil, *space), of the dtype of `maps`.
    ndim : int
        Spatial axes, 2 or 3.
    sets : int, optional
        Number of map sets.

    Returns
    -------
    Tensor
        Image, (*batch, *space), or (*batch, set, *space) with `sets`.
    """
    space = maps.shape[-ndim:]
    if sets is None:
        maps = maps.unsqueeze(-ndim - 2)
    mask = y.real.new_ones(1) if mask is None else mask.to(y.real.dtype)
    mask = mask.reshape((1,) * (ndim + 1 - mask.ndim) + tuple(mask.shape))
    ranks = (ndim + 1, ndim + 1, ndim + 2)
    batch = torch.broadcast_shapes(*(t.shape[: t.ndim - n] for t, n in zip((y, mask, maps), ranks, strict=True)))

    def combine(batch: tuple[int, ...], y: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
        return _combine(batch, y, *_weights(mask, space), maps)

    image = item_by_item(combine, (y, mask, maps), ranks, batch, together=0)
    for axis, n in zip(range(-ndim, 0), space, strict=True):
        p = _phase(n, (n // 2 - torch.arange(n)) * (n // 2), image)
        image *= p.reshape(-1, *(1,) * (-axis - 1))
    return image.squeeze(-ndim - 1) if sets is None else image


def _phase(n: int, turns: Tensor, like: Tensor) -> Tensor:
    """exp(2 pi i turns / n) in the complex precision of `like`; whole turns come off first, so that it is exact."""
    angle = (2 * math.pi / n) * (turns % n).to(torch.float64)
    return torch.polar(torch.ones_like(angle), angle).to(like.device, like.dtype.to_complex())


def _weights(mask: Tensor, space: torch.Size) -> tuple[Tensor, Tensor]:
    """The acquired columns, and mask * q / sqrt(size) on them: (*batch, coil or 1, *space[:-1], acquired)."""
    columns = (mask != 0).reshape(-1, mask.shape[-1]).any(0).expand(space[-1]).nonzero().squeeze(1)
    weights = mask.expand(*mask.shape[:-1], space[-1]).index_select(-1, columns) / math.sqrt(math.prod(space))
    for axis, n in zip(range(-len(space), 0), space, strict=True):
        q = _phase(n, -torch.arange(n) * (n // 2), mask)
        weights = weights * (q[columns] if axis == -1 else q.reshape(-1, *(1,) * (-axis - 1)))
    return weights, columns


def _combine(batch: tuple[int, ...], y: Tensor, weights: Tensor, columns: Tensor, maps: Tensor) -> Tensor:
    """Sum over coils of conj(maps) ifft(q mask y), (*batch, set, *space)."""
    # conj(ifft(v)) = fft(conj(v)) / n: all is conjugated until the end, so that conj(maps) is never formed.
    ndim = y.ndim - len(batch) - 1
    coils, *space = maps.shape[-ndim - 1 :]
    total = y.new_zeros(*batch, maps.shape[-ndim - 2], *space)
    if len(columns) == 0:
        return total
    every, axes = len(columns) == space[-1], tuple(range(-ndim, 0))
    weights = weights.expand(*weights.shape[: -ndim - 1], coils, *weights.shape[-ndim:])
    acquired, spectrum = y.new_empty(*batch, *space[:-1], len(columns)), y.new_zeros(*batch, *space)
    for coil, w, s in zip(y.unbind(-ndim - 1), weights.unbind(-ndim - 1), maps.unbind(-ndim - 1), strict=True):
        torch.mul(coil if every else coil.index_select(-1, columns), w, out=acquired).conj_physical_()
        if every:
            coil_image = torch.fft.fftn(acquired, dim=axes)
        else:
            spectrum.index_copy_(-1, columns, torch.fft.fftn(acquired, dim=axes[:-1]))
            coil_image = torch.fft.fft(spectrum, dim=-1)
        total.addcmul_(s, coil_image.unsqueeze(-ndim - 1))
        del coil_image  # so that the next one uses its memory
    return total.conj_physical_()
