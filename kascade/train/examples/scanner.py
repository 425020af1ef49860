"""Simulated acquisition of an object for training: phase, coils, truncation of k-space, noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kascade.data.simulation.acquisition import image_support, object_phase, white_noise
from kascade.data.simulation.coils import HELMET_MM, coil_noise_covariance, loop_coil_maps
from kascade.physics.fourier import fft, ifft
from kascade.train.examples.config import DataConfig
from kascade.train.examples.objects import Slice, resample, smooth_field

__all__ = ["Acquisition", "acquire"]

FINE = 2  # the object is this many times finer than the image: k-space is truncated as a scanner does, Gibbs and all


class Acquisition(NamedTuple):
    """Fully sampled k-space (coil, rows, columns) with and without noise."""

    kspace: Tensor
    clean: Tensor


def acquire(drawn: Slice, config: DataConfig, rng: np.random.Generator) -> Acquisition:
    """Scan a slice with a random geometry, phase, coil array and noise level out of the ranges of `config`."""
    shape, fov_mm = _geometry(drawn, config, rng)
    fine = resample(drawn, fov_mm, (FINE * shape[0], FINE * shape[1]), rng)
    shading = rng.uniform(0, 1.2 if rng.uniform() < 0.5 else 0.3)  # close to surface coils images are far brighter
    fine = fine * (shading * smooth_field(fine.shape, 2, rng)).exp()
    image = _truncate(torch.polar(fine, _phase(fine.shape, fov_mm, rng)), shape)
    maps = _coils(shape, fov_mm, config, rng)
    clean = fft(maps * image)
    support = image_support(image)
    snr = math.exp(rng.uniform(*np.log(config.snr)))
    level = float(image.abs()[support].mean()) / snr if bool(support.any()) else 0.0
    kspace = clean + level * _noise(clean.shape, rng)
    if config.apodized and rng.uniform() < config.apodized:
        window = _window(shape, rng)
        return Acquisition(kspace * window, clean * window)
    return Acquisition(kspace, clean)


def _geometry(
    drawn: Slice, config: DataConfig, rng: np.random.Generator
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Even matrix size, and field of view around the object."""
    extent = [n * d for n, d in zip(drawn.image.shape, drawn.spacing_mm, strict=True)]
    fov = (extent[0] * rng.uniform(1.0, 1.3), extent[1] * rng.uniform(1.0, 1.25))
    spacing = math.exp(rng.uniform(*np.log(config.spacing_mm)))
    spacing = max(spacing, math.sqrt(fov[0] * fov[1] / config.pixels))
    rows, columns = (max(24, 2 * round(length / spacing / 2)) for length in fov)
    return (rows, columns), fov


def _phase(shape: torch.Size, fov_mm: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """Smooth phase; for some scans also a shifted echo (a ramp) and a rough field, as beside air in gradient echoes."""
    y, x = ((torch.arange(n) - n // 2) * (length / n) for n, length in zip(shape, fov_mm, strict=True))
    strength = rng.uniform(0.1, 2.0)
    phase: Tensor = object_phase(x, y, 0.0, strength, int(rng.integers(2**31))).float()
    if rng.uniform() < 0.3:
        across, down = (2 * math.pi * rng.uniform(-4, 4, 2)).tolist()
        phase = phase + across * x / fov_mm[1] + down * y[:, None] / fov_mm[0]
    if rng.uniform() < 0.4:
        phase = phase + rng.uniform(0.2, 2.5) * smooth_field(shape, int(rng.integers(4, 13)), rng)
    return phase


def _truncate(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Keep the central k-space of a finer image."""
    kspace = fft(image)
    top, left = (n // 2 - m // 2 for n, m in zip(image.shape, shape, strict=True))
    return ifft(kspace[top : top + shape[0], left : left + shape[1]]) / FINE


def _window(shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Hann-like filter along columns and, for one scan in two, along rows, of random depth."""
    depth = rng.uniform(0.3, 0.97, 2) * (rng.uniform() < 0.5, 1)
    rows, columns = (
        1 - d * torch.sin(math.pi / 2 * (torch.arange(n) - n // 2) / (n / 2)) ** 2
        for n, d in zip(shape, depth.tolist(), strict=True)
    )
    return torch.outer(rows, columns).float()


def _coils(shape: tuple[int, int], fov_mm: tuple[float, float], config: DataConfig, rng: np.random.Generator) -> Tensor:
    """Maps of a helmet of random size, with unequal gains, sum over coils of abs squared = 1."""
    maps = loop_coil_maps(
        shape,
        int(rng.integers(config.coils[0], config.coils[1] + 1)),
        fov_mm,
        slice_position_mm=rng.uniform(-20, 40),
        orientation=str(rng.choice(["axial", "axial", "coronal", "sagittal"])),
        half_axes_mm=[axis * rng.uniform(0.95, 1.3) for axis in HELMET_MM],
        normalize=False,
    )
    gains = np.exp(rng.normal(0, 0.3, len(maps)) + 2j * np.pi * rng.uniform(size=len(maps)))
    maps = maps * torch.from_numpy(gains).to(torch.complex64)[:, None, None]
    normalized: Tensor = maps / torch.linalg.vector_norm(maps, dim=0).clamp(min=1e-20)
    return normalized


def _noise(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """Complex noise of unit variance: white between coils for one scan in two, else correlated as in an array."""
    white = white_noise(shape, rng)
    if rng.uniform() < 0.5:
        return white
    covariance = coil_noise_covariance(shape[0], coupling=rng.uniform(0, 0.6), seed=int(rng.integers(2**31)))
    return torch.einsum("ij,jrc->irc", torch.linalg.cholesky(covariance), white)
