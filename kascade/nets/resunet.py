"""A small residual U-Net that works in units of the noise it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.bands import WINDOWS, average, detail_bands

__all__ = ["ResUNet", "fine_contrast", "smooth_phase"]


class ResUNet(nn.Module):
    """U-Net of residual blocks that adds a bounded correction, in units of the image's finest contrast.

    The image is divided by the median of its finest diagonal differences, which is noise and residual aliasing more
    than anatomy (it is Donoho's estimate of the noise, up to a factor). In these units it is split into bands of fine,
    middle and coarse detail, and each is companded, sign(u) log(1 + |u|): noise stays as it is, edges a hundred times
    stronger do not drown it. The correction is at most `bound` of these units: at low noise the network cannot do much
    harm, whatever it was trained on. So f(c x) = c f(x) for c > 0. An untrained network is the identity.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output; the first `out_channels` of the input are what is corrected.
    channels : int
        Channels at full resolution; each level doubles them.
    levels : int
        How often the resolution is halved. Rows and columns must be multiples of 2**levels, see `stride`.
    blocks : int
        Residual blocks (convolution, ReLU, convolution) per level, on the way down and on the way up.
    bound : float
        Largest correction, in units of the finest contrast.
    demodulate : bool
        Take the smooth phase off before the network and put it back after: what is left is mostly real, whatever coils
        and field do to the phase, and noise and aliasing in the imaginary part are easily told from the object. For
        real and imaginary part as the two channels.

    References
    ----------
    The layout, with skips that are added: Zhang et al., Plug-and-play image restoration with deep denoiser prior
    (DRUNet), IEEE TPAMI 44 (2022). Noise from finest differences: Donoho and Johnstone, Biometrika 81 (1994).
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        channels: int = 16,
        levels: int = 2,
        blocks: int = 1,
        bound: float = 5.0,
        demodulate: bool = False,
    ) -> None:
        super().__init__()
        if demodulate and (in_channels, out_channels) != (2, 2):
            raise ValueError("demodulate is for a real and an imaginary channel in and out")
        self.stride, self.bound, self.demodulate = 2**levels, bound, demodulate
        widths = [channels * 2**level for level in range(levels + 1)]
        self.head = nn.Conv2d(in_channels * (len(WINDOWS) + 1) + 1, channels, 5, padding=2)
        self.down = nn.ModuleList(_blocks(width, blocks) for width in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1])
        self.bottom = _blocks(widths[-1], blocks)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths[:-1]))
        self.up = nn.ModuleList(_blocks(width, blocks) for width in reversed(widths[:-1]))
        self.tail = nn.Conv2d(channels, out_channels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, rows, columns) to (batch, out_channels, rows, columns)."""
        if not self.demodulate:
            return self._restore(x)
        phase = smooth_phase(x)
        return _turn(self._restore(_turn(x, phase, -1)), phase, 1)

    def _restore(self, x: Tensor) -> Tensor:
        local, unit = fine_contrast(x)
        features = self.head(torch.cat((*detail_bands(x / unit), torch.log1p(local / unit)), dim=1))
        skips = []
        for down, shrink in zip(self.down, self.shrink, strict=True):
            features = down(features)
            skips.append(features)
            features = shrink(features)
        features = self.bottom(features)
        for grow, up in zip(self.grow, self.up, strict=True):
            features = up(grow(features) + skips.pop())
        correction = self.bound * torch.tanh(self.tail(features) / self.bound)
        return x[:, : correction.shape[1]] + unit * correction


def fine_contrast(x: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude of the finest diagonal differences of images: mean around each pixel, median of the whole image.

    Parameters
    ----------
    x : Tensor
        Real (batch, channel, rows, columns).

    Returns
    -------
    local : Tensor
        (batch, 1, rows, columns), averaged over about 17 x 17 pixels.
    unit : Tensor
        (batch, 1, 1, 1), with a twentieth of the mean added, for images that are mostly empty; 1 for an image without
        differences.
    """
    padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
    difference = padded[..., :-1, :-1] - padded[..., 1:, :-1] - padded[..., :-1, 1:] + padded[..., 1:, 1:]
    size = difference.abs().mean(1, keepdim=True) / 2
    local = average(average(size, 9), 9)
    median = size.flatten(1).median(1).values[:, None, None, None]
    unit = median + 0.05 * size.mean((-2, -1), keepdim=True)
    return local, torch.where(unit > 0, unit, 1)


def smooth_phase(x: Tensor) -> Tensor:
    """Phase factor of an image averaged over about 7 x 7 pixels: cosine and sine, (batch, 2, rows, columns).

    Parameters
    ----------
    x : Tensor
        Real and imaginary part, (batch, 2, rows, columns); where both averages are 0 the factor is 1.
    """
    mean = average(average(x, 5), 5)
    size = torch.linalg.vector_norm(mean, dim=1, keepdim=True)
    one = torch.tensor([1.0, 0.0], dtype=x.dtype, device=x.device)[:, None, None]
    return torch.where(size > 0, mean / torch.where(size > 0, size, 1), one)


def _turn(x: Tensor, phase: Tensor, sign: int) -> Tensor:
    """Multiply by the phase factor (sign 1) or its conjugate (sign -1)."""
    (real, imag), (cosine, sine) = x.unbind(1), phase.unbind(1)
    sine = sign * sine
    return torch.stack((real * cosine - imag * sine, imag * cosine + real * sine), dim=1)


class _Residual(nn.Module):
    """x + convolution(ReLU(convolution(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(count)))
