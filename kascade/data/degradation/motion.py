"""A head that moves while a few phase-encode lines are measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SCHEMES", "draw_segments", "move_lines", "moved_lines"]

SCHEMES = ("piecewise-transient", "piecewise-constant", "gaussian")
STILL_CENTER = 0.07
"""Central part of the phase-encode lines that is always measured at rest."""

Lines = NDArray[np.int64]
Pose = tuple[float, tuple[float, float]]  # rotation in degrees, shift in px along rows and columns


def draw_segments(n: int, fraction: float, scheme: str, rng: np.random.Generator) -> list[Lines]:
    """Draw the lines, of `n`, that are measured in another pose, and which of them share one.

    Parameters
    ----------
    n : int
        Phase-encode lines.
    fraction : float
        Part of them that is corrupted; the central 7 % never are.
    scheme : str
        "piecewise-transient": random lines, neighbors among them share a pose; "piecewise-constant": blocks of adjacent
        lines; "gaussian": random lines, each with a pose of its own.
    rng : Generator

    Returns
    -------
    list of array
        Positions 0 to n - 1 of the lines of each pose, the center of k-space being n // 2.

    References
    ----------
    Duffy et al., NeuroImage 230:117756 (2021).
    """
    positions = np.arange(n)
    free = positions[np.abs(positions - n // 2) > STILL_CENTER * n / 2]
    count = min(max(1, round(fraction * n)), len(free))
    segments = min(int(rng.integers(1, 8)), count)
    if scheme == "piecewise-constant":
        gaps = rng.multinomial(len(free) - count, np.full(segments + 1, 1 / (segments + 1)))
        lengths = 1 + rng.multinomial(count - segments, np.full(segments, 1 / segments))
        starts = np.cumsum(gaps[:-1]) + np.cumsum(lengths) - lengths
        return [free[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    lines = np.sort(rng.choice(free, count, replace=False))
    return np.array_split(lines, count if scheme == "gaussian" else segments)


def move_lines(images: Tensor, segments: Sequence[Lines], poses: Sequence[Pose], aspect: float = 1.0) -> Tensor:
    """Images whose k-space has some lines of the moved object: sum of M_s F T_s x over poses.

    Parameters
    ----------
    images : Tensor
        complex64 (slices, rows, columns); columns are the phase-encode direction.
    segments : sequence of array
        As `draw_segments(columns, ...)`.
    poses : sequence of (float, (float, float))
        Rotation in degrees and shift in px of each segment; all slices move alike.
    aspect : float
        Size of a pixel along rows over that along columns.

    Returns
    -------
    Tensor
        complex64, as `images`.
    """
    columns = images.shape[-1]
    across = torch.fft.fft(images)
    kspace = torch.fft.fft(across, dim=-2)
    for segment, (rotation_deg, shift_px) in zip(segments, poses, strict=True):
        lines = torch.from_numpy((segment - columns // 2) % columns)
        kspace[..., lines] = moved_lines(across, lines, rotation_deg, shift_px, aspect)
    out: Tensor = torch.fft.ifft2(kspace)
    return out


def moved_lines(
    across: Tensor, lines: Tensor, rotation_deg: float, shift_px: tuple[float, float], aspect: float = 1.0
) -> Tensor:
    """Some lines of the k-space of a rotated, then shifted object, without transforming the rest.

    The rotation is that of three shears (Unser et al., IEEE TIP 4:1371, 1995), each a phase ramp after a Fourier
    transform of one axis, about the pixel (rows // 2, columns // 2); the last shear and the shift act on k-space.

    Parameters
    ----------
    across : Tensor
        Fourier transform of objects along columns, (..., rows, columns), unshifted.
    lines : Tensor
        int64 (lines,): frequency indices along columns.
    rotation_deg : float
        Less than 90.
    shift_px : (float, float)
        Along rows and columns.
    aspect : float
        As for `move_lines`.

    Returns
    -------
    Tensor
        (..., rows, lines).
    """
    rows, columns = across.shape[-2:]
    angle = math.radians(rotation_deg)
    shear = -math.tan(angle / 2) * aspect
    y = (torch.arange(rows) - rows // 2)[:, None]
    x = torch.arange(columns) - columns // 2
    ky, kx = torch.fft.fftfreq(rows)[:, None], torch.fft.fftfreq(columns)
    z = torch.fft.ifft(across * _ramp(kx * shear * y))
    z = torch.fft.fft(z, dim=-2) * _ramp(ky * (math.sin(angle) / aspect) * x)
    part = torch.fft.ifft(z @ _ramp(torch.arange(columns)[:, None] * kx[lines]), dim=-2)
    part = part * _ramp(kx[lines] * (shear * y + shift_px[1]))
    out: Tensor = torch.fft.fft(part, dim=-2) * _ramp(ky * shift_px[0])
    return out


def _ramp(cycles: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(cycles), -2 * math.pi * cycles)
