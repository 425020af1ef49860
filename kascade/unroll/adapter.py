"""Any image-to-image network as a prior: complex images in and out, whatever the network wants in between."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.errors import ConfigError

__all__ = ["CHANNELS", "Prior", "apply_to_any_size", "as_prior"]

CHANNELS = ("complex", "magnitude", "slices")
DEFAULT_STRIDE = 16


class Prior(nn.Module):
    """Complex image -> complex image of the same shape, by a network that knows only real channels.

    See `as_prior`.
    """

    def __init__(self, network: nn.Module, channels: str, size: int | None, stride: int) -> None:
        super().__init__()
        self.network, self.channels, self.size, self.stride = network, channels, size, stride

    def forward(self, x: Tensor) -> Tensor:
        """Restore complex images (*batch, rows, columns); with "slices" the last batch axis counts adjacent slices."""
        power = x.abs().square().mean((-2, -1), keepdim=True)
        rms = torch.where(power > 0, power, 1).sqrt()  # of a zero image 1, else the gradient of the root would be NaN
        return rms * (power > 0) * _CODECS[self.channels](x / rms, self._restore)

    def _restore(self, channels: Tensor) -> Tensor:
        return apply_to_any_size(self.network, channels, self.size, self.stride)


def as_prior(
    network: nn.Module, channels: str = "complex", size: int | None = None, stride: int | None = None
) -> Prior:
    """Plug any image-to-image network into a cascade.

    Parameters
    ----------
    network : nn.Module
        Maps (batch, channel, rows, columns), real, to the same rows and columns.
    channels : {"complex", "magnitude", "slices"}
        What the network sees: real and imaginary part as two channels; the magnitude as one (the phase is kept); or the
        magnitudes of the slice before, the slice and the slice after as three, where images are (*batch, slice, rows,
        columns) and of an output with three channels the middle one counts.
    size : int, optional
        For networks that take one size only: images are cut into overlapping tiles of size x size, which are blended.
        By default the network's own attribute `size`, where it has one.
    stride : int, optional
        Images are padded (by reflection) to multiples of this; by default the network's own attribute `stride`, else
        16.

    Returns
    -------
    Prior
        Each image is divided by its RMS before the network and multiplied by it after, so that no amplitude matters; a
        zero image stays zero.

    Raises
    ------
    ConfigError
        If `channels` is none of these, or `size` or `stride` is not positive.
    """
    if channels not in CHANNELS:
        raise ConfigError(f"channels must be one of {', '.join(CHANNELS)}, got {channels!r}")
    fixed = getattr(network, "size", None)
    if size is None and isinstance(fixed, int):
        size = fixed
    if stride is None:
        own = getattr(network, "stride", None)  # a tuple where the network is a single convolution
        stride = own if isinstance(own, int) else DEFAULT_STRIDE
    if stride < 1 or (size is not None and size < 2):
        raise ConfigError(f"stride must be 1 or more and size 2 or more, got stride={stride}, size={size}")
    return Prior(network, channels, size, stride)


def apply_to_any_size(network: nn.Module, x: Tensor, size: int | None = None, stride: int = DEFAULT_STRIDE) -> Tensor:
    """Apply a network to real (batch, channel, rows, columns) of any size; `size`, `stride` as in `as_prior`."""
    return _padded(x, network, stride) if size is None else _tiled(x, network, size)


Restore = Callable[[Tensor], Tensor]


def _complex(x: Tensor, restore: Restore) -> Tensor:
    batch = x.reshape(-1, *x.shape[-2:])
    out = restore(torch.stack((batch.real, batch.imag), dim=1))
    return torch.complex(out[:, 0], out[:, 1]).reshape(x.shape)


def _magnitude(x: Tensor, restore: Restore) -> Tensor:
    out = restore(x.abs().reshape(-1, 1, *x.shape[-2:]))[:, 0]
    return out.reshape(x.shape) * torch.sgn(x)


def _slices(x: Tensor, restore: Restore) -> Tensor:
    if x.ndim < 3:
        raise ConfigError(f'channels="slices" needs images (*batch, slice, rows, columns), got {tuple(x.shape)}')
    magnitude = x.abs()
    before = torch.cat((magnitude[..., :1, :, :], magnitude[..., :-1, :, :]), dim=-3)
    after = torch.cat((magnitude[..., 1:, :, :], magnitude[..., -1:, :, :]), dim=-3)
    out = restore(torch.stack((before, magnitude, after), dim=-3).reshape(-1, 3, *x.shape[-2:]))
    return out[:, out.shape[1] // 2].reshape(x.shape) * torch.sgn(x)


_CODECS: dict[str, Callable[[Tensor, Restore], Tensor]] = {
    "complex": _complex,
    "magnitude": _magnitude,
    "slices": _slices,
}


def _padded(x: Tensor, network: nn.Module, stride: int) -> Tensor:
    """Pad rows and columns to multiples of `stride`, apply the network, cut."""
    rows, columns = x.shape[-2:]
    extra_rows, extra_columns = -rows % stride, -columns % stride
    if extra_rows or extra_columns:
        reflect = extra_rows < rows and extra_columns < columns
        x = F.pad(x, (0, extra_columns, 0, extra_rows), mode="reflect" if reflect else "constant")
    out: Tensor = network(x)
    return out[..., :rows, :columns]


def _tiled(x: Tensor, network: nn.Module, size: int) -> Tensor:
    """Cut into tiles that overlap by a quarter, apply the network to each, blend with smooth weights that sum to 1."""
    rows, columns = x.shape[-2:]
    x = F.pad(x, (0, max(size - columns, 0), 0, max(size - rows, 0)))
    ramp = torch.hann_window(size + 2, periodic=False, dtype=x.dtype, device=x.device)[1:-1]
    window = torch.outer(ramp, ramp) + 1e-6
    total: Tensor | None = None
    weight = torch.zeros(x.shape[-2:], dtype=x.dtype, device=x.device)
    for top in _tile_starts(x.shape[-2], size):
        for left in _tile_starts(x.shape[-1], size):
            out = network(x[..., top : top + size, left : left + size]) * window
            place = (left, x.shape[-1] - left - size, top, x.shape[-2] - top - size)
            total = F.pad(out, place) if total is None else total + F.pad(out, place)
            weight = weight + F.pad(window, place)
    assert total is not None
    return (total / weight)[..., :rows, :columns]


def _tile_starts(length: int, size: int) -> list[int]:
    """Where tiles begin: evenly spread, overlapping by at least a quarter."""
    if length <= size:
        return [0]
    count = math.ceil((length - size) / (0.75 * size)) + 1
    return [round(i * (length - size) / (count - 1)) for i in range(count)]
