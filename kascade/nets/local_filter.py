"""Filters that a network predicts, one for each pixel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LocalFilter"]


class LocalFilter(nn.Module):
    """Filter images, at each pixel by a kernel of its own: x_p + sum over k of w_pk (x_(p+k) - x_p).

    All channels of an image share the kernels. Untrained it is the identity; it never changes an even region.

    Parameters
    ----------
    features : int
        Channels of the features that the kernels are predicted from.
    size : int
        Rows and columns of a kernel, odd.
    scale : int
        How much finer the images are than the features.

    Raises
    ------
    ValueError
        If `size` is even or below 3.

    References
    ----------
    Mildenhall et al., Burst denoising with kernel prediction networks, CVPR 2018.
    """

    def __init__(self, features: int, size: int, scale: int = 1) -> None:
        super().__init__()
        if size < 3 or not size % 2:
            raise ValueError(f"expected an odd size of the kernels, 3 or more, got {size}")
        self.size, self.scale = size, scale
        self.predict = nn.Conv2d(features, size**2 * scale**2, 1)
        nn.init.zeros_(self.predict.weight)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Filter (batch, channels, rows, columns) by what (batch, features, rows / scale, columns / scale) say."""
        kernels = F.pixel_shuffle(self.predict(features), self.scale)
        padded = F.pad(x, (self.size // 2,) * 4, mode="replicate")
        rows, columns = x.shape[-2:]
        out = x
        for n in range(self.size**2):  # on a CPU twice as fast as one product of unfolded images
            down, right = divmod(n, self.size)
            shifted = padded[..., down : down + rows, right : right + columns]
            out = out + kernels[:, n : n + 1] * (shifted - x)
        return out
