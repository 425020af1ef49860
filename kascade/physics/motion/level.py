"""Multi-shot SENSE on the central part of k-space: what motion is estimated on, from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from kascade.physics.fourier import fft, ifft
from kascade.physics.rigid_motion import padded_size
from kascade.physics.rss import rss
from kascade.physics.shot_plan import ShotPlan, make_plan

__all__ = ["Level", "make_level", "resampled_maps", "resized"]

MARGIN = 8  # columns of the image's k-space beyond those of the data: coils mix neighboring columns


@dataclass(frozen=True, eq=False)
class Level:
    """The data of one resolution.

    Attributes
    ----------
    maps : Tensor
        Coil maps, complex (coil, rows, columns) of the level.
    samples : Tensor
        k-space along columns, image space along rows, complex (coil, rows, columns).
    columns : list of Tensor
        Columns of each shot here, int64.
    scale : tuple of float
        Pixels of the level per pixel of the full matrix, along rows and columns.
    spacing : tuple of float
        Pixel sizes of the level.
    """

    maps: Tensor
    samples: Tensor
    columns: list[Tensor]
    scale: tuple[float, float]
    spacing: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.maps.shape[-2], self.maps.shape[-1]

    def plan(self, motion: Tensor, weights: Tensor) -> ShotPlan:
        """Encoding for a motion in px of the full matrix; `weights` (shots,) are those of the squared residuals."""
        columns = torch.zeros(self.shape[1], dtype=self.maps.real.dtype)
        for own, weight in zip(self.columns, weights.tolist(), strict=True):
            columns[own] = math.sqrt(weight)
        local = motion * motion.new_tensor([*self.scale, 1.0])
        return make_plan(self.maps, local, self.columns, columns, spacing=self.spacing)

    def data(self, plan: ShotPlan, weights: Tensor) -> list[Tensor]:
        """Samples of each group of a plan, times the roots of the weights."""
        roots = weights.sqrt()
        gathered = zip(plan.groups, plan.gather(self.samples), strict=True)
        return [parts * roots[group.shots, None, None, None] for group, parts in gathered]


def make_level(
    y: Tensor, maps: Tensor, columns: Sequence[Tensor], fraction: float, spacing: tuple[float, float]
) -> Level:
    """Cut the problem to the central `fraction` of rows and columns of k-space; 1: all of it, as it is.

    Parameters
    ----------
    y : Tensor
        k-space, complex (coil, rows, columns).
    maps : Tensor
        Coil maps, of the shape of `y`.
    columns : sequence of Tensor
        Columns of each shot.
    fraction : float
        Of rows and columns.
    spacing : tuple of float
        Pixel sizes.
    """
    all_rows, all_columns = y.shape[-2:]
    kept = _even(fraction * all_columns)
    if fraction >= 1 or kept + 2 * MARGIN >= all_columns:
        return Level(maps, ifft(y, (-2,)), list(columns), (1.0, 1.0), spacing)
    width = min(all_columns, padded_size(kept + 2 * MARGIN, 1.0 + 1e-9))
    rows = min(all_rows, _even(all_rows * width / all_columns))
    top, left = all_rows // 2 - rows // 2, all_columns // 2 - width // 2
    center = y[..., top : top + rows, left : left + width] * math.sqrt(rows * width / (all_rows * all_columns))
    inside = [(own >= all_columns // 2 - kept // 2) & (own < all_columns // 2 + kept - kept // 2) for own in columns]
    scale = (rows / all_rows, width / all_columns)
    return Level(
        maps=resampled_maps(maps, (rows, width)),
        samples=ifft(center, (-2,)),
        columns=[own[here] - left for own, here in zip(columns, inside, strict=True)],
        scale=scale,
        spacing=(spacing[0] / scale[0], spacing[1] / scale[1]),
    )


def resized(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Image on another grid over the same field of view, by cutting its k-space or filling it up with zeros."""
    spectrum = fft(x)
    for axis, size in zip((-2, -1), shape, strict=True):
        now = spectrum.shape[axis]
        start = size // 2 - now // 2
        if size < now:
            spectrum = spectrum.narrow(axis, -start, size)
        else:
            sides = (start, size - now - start)
            spectrum = torch.nn.functional.pad(spectrum, sides if axis == -1 else (0, 0, *sides))
    return ifft(spectrum) * math.sqrt(math.prod(shape) / x.numel())


def _even(size: float) -> int:
    return 2 * round(size / 2)


def resampled_maps(maps: Tensor, shape: tuple[int, int]) -> Tensor:
    """Maps at the pixels of another grid over the same field of view, of unit norm where there are any."""
    places = []
    for n, m in zip(maps.shape[-2:], shape, strict=True):
        place = (torch.arange(m, dtype=maps.real.dtype) - m // 2) * (n / m) + n // 2
        places.append((2 * place + 1) / n - 1)
    points = torch.stack(torch.meshgrid(places[1], places[0], indexing="xy"), dim=-1)
    parts = torch.stack([maps.real, maps.imag])
    real, imaginary = grid_sample(parts, points.expand(2, *points.shape), padding_mode="border", align_corners=False)
    there = torch.complex(real, imaginary)
    norm = rss(there)
    return torch.where(norm > 0, there / norm.clamp(min=1e-12), 0)
