"""Magnitude slices and their degraded version, with nothing outside the head that tells which is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from kascade.data.degradation.labels import labels_of
from kascade.data.degradation.transforms import Degradation
from kascade.data.simulation.acquisition import white_noise

__all__ = ["FLOOR", "Degraded", "degrade", "head_mask", "intensity_scale"]

FLOOR = (0.0, 0.02)
"""Range of the noise floor outside the head, standard deviation relative to bright tissue."""

BRIGHT_PERCENTILE = 99.9


class Degraded(NamedTuple):
    """A degraded stack of slices, the clean one, and what was done: float32 (slices, rows, columns) and (4,)."""

    image: Tensor
    clean: Tensor
    labels: Tensor


def degrade(
    clean: Tensor,
    degradations: Sequence[Degradation],
    rng: np.random.Generator,
    floor: tuple[float, float] = FLOOR,
    head: Tensor | None = None,
) -> Degraded:
    """Degrade slices.

    Outside the head, clean and degraded slices have the same noise, of a strength drawn before anything else: the
    background of stripped heads is exactly 0, where noise and ghosts would tell the class without any look at the
    head.

    Parameters
    ----------
    clean : Tensor
        Magnitude (slices, rows, columns), divided by `intensity_scale` of the volume.
    degradations : sequence of Degradation
        Applied in turn; none leaves the slices clean.
    rng : Generator
        Everything random.
    floor : (float, float)
        Least and highest standard deviation, relative to bright tissue, of the noise outside the head.
    head : Tensor, optional
        bool, as `clean`; by default `head_mask(clean)`.
    """
    background = rng.uniform(*floor) * np.sqrt(2) * white_noise(clean.shape, rng).abs()
    image = clean.to(torch.complex64)
    for step in degradations:
        image = step(image, rng)
    inside = head_mask(clean) if head is None else head
    pair = [torch.where(inside, x.float(), background.float()) for x in (image.abs(), clean)]
    return Degraded(pair[0], pair[1], labels_of([step.source for step in degradations]))


def head_mask(volume: Tensor) -> Tensor:
    """Where a head is, in slices whose background is exactly 0: bool, as `volume` (slices, rows, columns).

    With noise in the background it is everywhere.
    """
    around = np.ones((1, 5, 5), dtype=bool)
    found = ndimage.binary_closing(np.pad(volume.numpy() > 0, ((0, 0), (2, 2), (2, 2))), around)[:, 2:-2, 2:-2]
    return torch.from_numpy(np.stack([ndimage.binary_fill_holes(mask) for mask in found]))


def intensity_scale(volume: Tensor) -> float:
    """What counts as 1: the 99.9th percentile of all voxels, which no bright vessel moves; 1 for an empty volume.

    Parameters
    ----------
    volume : Tensor
        Magnitude, of any shape.
    """
    voxels = volume.detach().numpy().reshape(-1)
    scale = float(np.percentile(voxels[:: max(1, voxels.size // 4_000_000)], BRIGHT_PERCENTILE))
    return scale if scale > 0 else float(voxels.max()) or 1.0
