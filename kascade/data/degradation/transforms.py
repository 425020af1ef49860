"""Degradations as transforms of complex slices that compose: each draws what is random in it from a generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from kascade.data.degradation.labels import SEVERITIES, SOURCES
from kascade.data.degradation.motion import SCHEMES, draw_segments, move_lines
from kascade.data.simulation.acquisition import white_noise
from kascade.errors import ConfigError

__all__ = ["Degradation", "LowResolution", "Motion", "Noise", "make_degradations"]

FRACTIONS = {"mild": (0.10, 0.15), "moderate": (0.15, 0.25), "severe": (0.25, 0.40)}
SHIFTS_PX = {"mild": 1.0, "moderate": 2.5, "severe": 5.0}
ROTATIONS_DEG = {"mild": 0.5, "moderate": 1.5, "severe": 3.0}
KEPT_AREA = {"mild": 0.5, "moderate": 0.25, "severe": 0.0625}
NOISE_STD = {"mild": 0.02, "moderate": 0.05, "severe": 0.10}

AT_ONCE = 8
"""Slices that are transformed together: as many as the caches of a CPU hold make whole volumes twice as fast."""


class Degradation(Protocol):
    """Maps slices to degraded slices; see `Motion`, `LowResolution`, `Noise`."""

    @property
    def source(self) -> str:
        """One of `SOURCES`."""

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Degrade complex64 (slices, rows, columns), all slices alike; bright tissue is about 1."""


@dataclass(frozen=True)
class Motion:
    """Some phase-encode lines, rows or columns, are those of the head in other poses.

    Parameters
    ----------
    severity : str
        "mild", "moderate" or "severe": 10-15, 15-25 or 25-40 % of the lines; poses are normal with standard deviations
        of 1, 2.5 or 5 px along each axis and of 0.5, 1.5 or 3 degrees.
    spacing_mm : (float, float)
        Pixel sizes along rows and columns: where they differ, the head turns, not the grid.
    """

    source: ClassVar[str] = "motion"
    severity: str
    spacing_mm: tuple[float, float] = (1.0, 1.0)

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Move the head while lines of a random scheme, see `draw_segments`, are measured."""
        along_columns = bool(rng.integers(2))
        x = images if along_columns else images.mT
        scheme = str(rng.choice(SCHEMES))
        segments = draw_segments(x.shape[-1], rng.uniform(*FRACTIONS[self.severity]), scheme, rng)
        poses = []
        for _ in segments:
            rotation, *shifts = rng.standard_normal(3).tolist()
            down_px, right_px = (SHIFTS_PX[self.severity] * shift for shift in shifts)
            poses.append((ROTATIONS_DEG[self.severity] * rotation, (down_px, right_px)))
        down, across = self.spacing_mm if along_columns else reversed(self.spacing_mm)
        moved = torch.cat([move_lines(part, segments, poses, down / across) for part in x.split(AT_ONCE)])
        return moved if along_columns else moved.mT


@dataclass(frozen=True)
class LowResolution:
    """Only the center of k-space is kept; the matrix stays.

    Parameters
    ----------
    severity : str
        "mild", "moderate" or "severe": 50, 25 or 6.25 % of the area of k-space is kept.
    """

    source: ClassVar[str] = "low-resolution"
    severity: str

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Set the periphery of k-space to 0."""
        kept = math.sqrt(KEPT_AREA[self.severity])
        rows, columns = (torch.fft.fftfreq(n).abs() < kept / 2 for n in images.shape[-2:])
        center = rows[:, None] & columns
        return torch.cat([torch.fft.ifft2(torch.fft.fft2(part) * center) for part in images.split(AT_ONCE)])


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise in real and imaginary part.

    Parameters
    ----------
    severity : str
        "mild", "moderate" or "severe": a standard deviation of 2, 5 or 10 % of bright tissue in each part.
    """

    source: ClassVar[str] = "noise"
    severity: str

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Add noise."""
        return images + math.sqrt(2) * NOISE_STD[self.severity] * white_noise(images.shape, rng)


def make_degradations(
    sources: Sequence[str], severity: str, spacing_mm: tuple[float, float] = (1.0, 1.0)
) -> list[Degradation]:
    """Transforms of a mixture, in the order in which they are to be applied, to slices with pixels of `spacing_mm`.

    Raises
    ------
    ConfigError
        If there is no such source or severity.
    """
    if severity not in SEVERITIES or not set(sources) <= set(SOURCES):
        raise ConfigError(
            f"degradation {'+'.join(sources)} {severity}: expected sources of {', '.join(SOURCES)} and a severity of "
            f"{', '.join(SEVERITIES)}"
        )
    # The order of the scan: the head moves, noise comes with the signal, and only what was acquired is transformed
    # back, so that the noise of a scan of low resolution has low resolution, too.
    made = (Motion(severity, spacing_mm), Noise(severity), LowResolution(severity))
    return [step for step in made if step.source in sources]
