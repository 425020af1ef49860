"""StyleSwin's discriminator: convolutions on the Haar wavelets of an image, which show the grid of windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from kascade.nets.equalized import blur_resample, scaled_leaky_relu
from kascade.nets.styleswin import resolutions, widths

__all__ = ["WaveletDiscriminator", "haar", "inverse_haar"]


def haar(x: Tensor) -> Tensor:
    """Orthonormal Haar wavelets: (batch, c, rows, columns) to (batch, 4 c, rows / 2, columns / 2), averages first."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return torch.cat((a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d), 1) / 2


def inverse_haar(x: Tensor) -> Tensor:
    """Undo `haar`."""
    s, h, v, d = x.chunk(4, 1)
    corners = ((s + h + v + d, s - h + v - d), (s + h - v - d, s - h - v + d))
    rows = [torch.stack(pair, -1).flatten(-2) for pair in corners]
    return torch.stack(rows, -2).flatten(-3, -2) / 2


class _Convolution(nn.Module):
    """Convolution with a bounded norm, and an activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bounded: bool) -> None:
        super().__init__()
        layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.layer = spectral_norm(layer) if bounded else layer

    def forward(self, x: Tensor) -> Tensor:
        return scaled_leaky_relu(self.layer(x))


class WaveletDiscriminator(nn.Module):
    """Tells generated images from real ones; a high score means real.

    The wavelets of the image enter at every resolution; between two of them features are convolved, blurred and halved.

    Parameters
    ----------
    size : int
        Rows and columns of images.
    width, max_width : int
        Channels as in `kascade.nets.styleswin.widths`; the paper's discriminator has twice those of the generator.
    channels : int
        Of the images.
    group : int
        Images whose standard deviation is a feature, so that too little variety is seen; the batch size should be a
        multiple of it.
    bounded : bool
        Spectral norm on all layers.

    References
    ----------
    Zhang et al., StyleSwin, CVPR 2022, Sec. 3.4; Gal et al., SWAGAN, SIGGRAPH 2021.
    """

    def __init__(
        self,
        size: int = 256,
        width: int = 128,
        max_width: int = 512,
        channels: int = 1,
        group: int = 4,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.group = group
        plan = widths(size, width, max_width)
        sides = resolutions(size)[:-1][::-1]  # wavelets have half the size of the image
        self.enter = nn.ModuleList(_Convolution(4 * channels, plan[r], 1, bounded) for r in sides)
        self.convolve = nn.ModuleList(
            nn.Sequential(_Convolution(plan[r], plan[r], 3, bounded), _Convolution(plan[r], plan[r // 2], 3, bounded))
            for r in sides[:-1]
        )
        self.last = _Convolution(plan[4] + 1, plan[4], 3, bounded)
        hidden, score = nn.Linear(16 * plan[4], plan[4]), nn.Linear(plan[4], 1)
        self.hidden, self.score = (spectral_norm(hidden), spectral_norm(score)) if bounded else (hidden, score)

    def forward(self, image: Tensor) -> Tensor:
        """Score images (batch, channels, size, size) by (batch,)."""
        features: Tensor | None = None
        for n, enter in enumerate(self.enter):
            if n > 0:
                image = blur_resample(image)
                assert features is not None
                features = blur_resample(self.convolve[n - 1](features))
            entered = enter(haar(image))
            features = entered if features is None else features + entered
        assert features is not None
        features = self.last(torch.cat((features, _spread(features, self.group)), 1))
        out: Tensor = self.score(scaled_leaky_relu(self.hidden(features.flatten(1))))
        return out[:, 0]


def _spread(x: Tensor, group: int) -> Tensor:
    """Mean standard deviation over groups of images, as one more channel; the whole batch where it has no groups."""
    count = group if len(x) % group == 0 else len(x)
    groups = x.view(count, -1, *x.shape[1:])
    deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(count)[:, None, None, None].expand(-1, 1, *x.shape[2:])
