"""Random changes of images that a discriminator should not mind, differentiable in the images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["changed"]

SHIFT = 8  # eighths of the side that images are moved at most: one


def changed(x: Tensor) -> Tensor:
    """Mirror, move, brighten and stretch the contrast of each image, (batch, channels, rows, columns), by chance.

    Zhao et al., Differentiable Augmentation, NeurIPS 2020, for images of one channel; color has no meaning here.
    """
    batch = len(x)

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(batch, 1, 1, 1, device=x.device).uniform_(low, high)

    x = torch.where(uniform(0, 1) < 0.5, x.flip(-1), x)
    x = x + uniform(-0.5, 0.5)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * uniform(0.5, 1.5) + mean
    reach = max(x.shape[-1] // SHIFT, 1)
    padded = F.pad(x, (reach, reach, reach, reach))
    moves = torch.randint(0, 2 * reach + 1, (batch, 2)).tolist()
    rows, columns = x.shape[-2:]
    return torch.stack([p[:, a : a + rows, b : b + columns] for p, (a, b) in zip(padded, moves, strict=True)])
