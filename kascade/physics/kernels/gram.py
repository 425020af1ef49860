"""E^H E of Cartesian SENSE by kernels: one launch where the mask varies along columns only, else cuFFT."""

from __future__ import annotations

from functools import cache
from math import ceil, prod

import torch
from torch import Tensor

from kascade.physics.kernels.launch import Kernel
from kascade.physics.kernels.radices import frequencies, radices, twiddles
from kascade.physics.sampling import filter_axes

__all__ = ["FilteredGram", "FusedGram", "KernelGram", "gram_by_kernels"]

BLOCK_THREADS = 128  # of the fused kernel, at about 168 registers each: three blocks and more on a multiprocessor
PASS_THREADS = 256
COIL_SAMPLES = 2**27  # samples of coil images at one time on the way through cuFFT: 1 GB for each of three copies


def gram_by_kernels(maps: Tensor, weights: Tensor, ndim: int, sets: int | None) -> KernelGram:
    """The way that suits mask and size; all that does not depend on the image is prepared.

    Parameters
    ----------
    maps, weights, ndim, sets
        As for `SenseGram`.
    """
    if filter_axes(weights, ndim) == (-1,) and radices(maps.shape[-1]) is not None:
        return FusedGram(maps, weights, ndim, sets)
    return FilteredGram(maps, weights, ndim, sets)


class KernelGram:
    """What both ways share: maps, weights and image as rows of items.

    Parameters
    ----------
    maps, weights, ndim, sets
        As for `SenseGram`.
    """

    def __init__(self, maps: Tensor, weights: Tensor, ndim: int, sets: int | None) -> None:
        maps, weights = maps.detach().resolve_conj(), weights.detach().to(torch.float32)
        self.ndim, self.sets, self.coils, self.space = ndim, sets or 1, maps.shape[-ndim - 1], tuple(maps.shape[-ndim:])
        self.axes = filter_axes(weights, ndim)
        self.image_shape = self.space if sets is None else (sets, *self.space)
        self.maps = maps if sets is not None else maps.unsqueeze(-ndim - 2)
        weights = weights.reshape((1,) * (ndim + 1 - weights.ndim) + tuple(weights.shape)).squeeze(-ndim - 1)
        self.weights = self.laid_out(torch.fft.ifftshift(weights, dim=self.axes))
        self._rows: tuple[tuple[int, ...], Tensor, Tensor] | None = None

    def laid_out(self, weights: Tensor) -> Tensor:
        """Weights in FFT order, (*batch, *space) of length 1 where they are constant, as the kernels want them."""
        raise NotImplementedError

    def compute(self, x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        """Image of contiguous (items, *image_shape); maps and weights repeat if they are fewer."""
        raise NotImplementedError

    def __call__(self, x: Tensor) -> Tensor:
        """Image in, image out, (*batch, *image_shape), complex64."""
        own = (self.maps.shape[: -self.ndim - 2], self.weights.shape[: self.weights.ndim - self.ndim])
        batch = tuple(torch.broadcast_shapes(x.shape[: x.ndim - len(self.image_shape)], *own))
        if self._rows is None or self._rows[0] != batch:
            maps, weights = _rows(self.maps, batch, self.ndim + 2), _rows(self.weights, batch, self.ndim)
            self._rows = batch, maps, weights
        x = x.resolve_conj().expand(*batch, *self.image_shape).contiguous()
        if x.numel() == 0:
            return torch.zeros_like(x)
        return self.compute(x.reshape(-1, *self.image_shape), *self._rows[1:]).reshape(x.shape)


def _rows(t: Tensor, batch: tuple[int, ...], rank: int) -> Tensor:
    """(rows, *item), contiguous; item i of the flat batch uses row i modulo their number, so that few are copied."""
    own, item = t.shape[: t.ndim - rank], t.shape[t.ndim - rank :]
    while own and own[0] == 1:
        own = own[1:]
    t = t.reshape(*own, *item).expand(*batch[len(batch) - len(own) :], *item)
    return t.reshape(-1, *item).contiguous()


class FusedGram(KernelGram):
    """One launch for everything: maps and image are read once, the image is written once.

    The mask varies along columns only, and `radices` must know their number.
    """

    def laid_out(self, weights: Tensor) -> Tensor:
        """In the order in which the transform leaves its output; constant along all axes but the last."""
        n = self.space[-1]
        factors = radices(n)
        assert factors is not None
        order, self.twiddles = _tables(factors, weights.device)
        self.kernel = _fused_kernel(factors, self.sets, self.coils)
        return weights.expand(*weights.shape[:-1], n)[..., order] / n

    def compute(self, x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        """One block for each line of each item."""
        out, lines = torch.empty_like(x), prod(self.space[:-1])
        sizes = self.coils, lines, len(maps), len(weights)
        self.kernel(len(x) * lines, x, maps, weights, self.twiddles, out, *sizes)
        return out


@cache
def _tables(factors: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    return frequencies(factors).to(device), twiddles(factors).to(device)


@cache
def _fused_kernel(factors: tuple[int, ...], sets: int, coils: int) -> Kernel:
    """As many coils at one time as `BLOCK_THREADS` can take, in rounds of equal size."""
    n, first, last = prod(factors), factors[0], factors[-1]
    lanes = n // first
    rounds = ceil(coils / max(1, BLOCK_THREADS // lanes))
    groups = ceil(coils / rounds)
    pitch = n + n // 16 if last % 2 == 0 else n
    sizes: dict[str, str | int] = {"N": n, "RADICES": ",".join(map(str, factors)), "FIRST": first, "LAST": last}
    constants = {**sizes, "SETS": sets, "GROUPS": groups}
    threads = 32 * ceil(groups * lanes / 32)
    return Kernel(
        ("complex", "transform", "gram"), "gram", threads, tuple(constants.items()), shared_bytes=8 * groups * pitch
    )


class FilteredGram(KernelGram):
    """Coil images, cuFFT, weights, cuFFT, sum over coils; as many coils at one time as memory allows."""

    def laid_out(self, weights: Tensor) -> Tensor:
        """One weight for each sample."""
        self.together = self.coils
        weights = weights / prod(self.space[axis] for axis in self.axes)
        return weights.expand(*weights.shape[: weights.ndim - self.ndim], *self.space)

    def compute(self, x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        """All coils, or ever fewer at one time if the device has no room."""
        self.together = max(1, min(self.together, COIL_SAMPLES // (len(x) * prod(self.space))))
        while True:
            try:
                return self._sum(x, maps, weights)
            except torch.OutOfMemoryError:
                if self.together == 1:
                    raise
                self.together = ceil(self.together / 2)
            torch.cuda.empty_cache()

    def _sum(self, x: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        """Sum over coils, `together` of them at one time."""
        out, samples = torch.zeros_like(x), prod(self.space)
        blocks = len(x) * ceil(samples / PASS_THREADS)
        for begin in range(0, self.coils, self.together):
            some = min(self.together, self.coils - begin)
            sizes = self.sets, self.coils, begin, some, samples, len(maps)
            coil_images = x.new_empty(len(x), some, *self.space)
            EXPAND(blocks, x, maps, coil_images, *sizes)
            spectrum = torch.fft.fftn(coil_images, dim=self.axes).contiguous()
            del coil_images
            WEIGH(blocks, spectrum, weights, some, samples, len(weights))
            filtered = torch.fft.fftn(spectrum, dim=self.axes).contiguous()
            del spectrum
            COMBINE(blocks, filtered, maps, out, *sizes)
        return out


EXPAND, WEIGH, COMBINE = (Kernel(("complex", "filter"), name, PASS_THREADS) for name in ("expand", "weigh", "combine"))
