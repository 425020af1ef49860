"""The eigenvalue below which ESPIRiT maps are better set to zero, by Stein's unbiased risk estimate (SURE)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sure_crop"]

_CANDIDATES = 100


def sure_crop(maps: Tensor, eigenvalues: Tensor, region: Tensor, noise_variance: float) -> float:
    """Crop threshold of least expected error.

    Projecting coil images onto the maps that are kept is a linear denoiser P of the calibration data y. Its expected
    squared error is, up to a constant, ||P y - y||^2 + 2 v trace(P) for noise of variance v per complex sample [1]_,
    and the threshold that makes it least is taken, as in [2]_: cropping too much removes signal, cropping
    too little keeps noise. The data are multiplied by a Hann window first (and the trace weighted by its
    square), since the ringing of the small region would count as signal far outside the object.

    Parameters
    ----------
    maps : Tensor
        Orthonormal maps, (set, coil, rows, columns), on any grid of at least the size of the region.
    eigenvalues : Tensor
        (set, rows, columns).
    region : Tensor
        Calibration data, (coil, region rows, region columns).
    noise_variance : float
        E|n|^2 per sample of `region`.

    Returns
    -------
    float
        From 0 (keep all) to 1; the smallest of equally good ones.

    References
    ----------
    .. [1] Stein, Estimation of the mean of a multivariate normal distribution, Annals of Statistics 9 (1981).
    .. [2] Iyer et al., SURE-based automatic parameter selection for ESPIRiT calibration, MRM 84 (2020).
    """
    rows, columns = maps.shape[-2:]
    window = torch.outer(_hann(region.shape[1]), _hann(region.shape[2])).to(region.device)
    data = region * window
    by_row = _inverse_dft(rows, region.shape[1], region)
    by_column = _inverse_dft(columns, region.shape[2], region)
    parts = (maps.conj() * (by_row @ data @ by_column.mT)).sum(dim=1)
    trace_per_pixel = float(window.square().sum()) / (rows * columns)
    best, least = 0.0, math.inf
    for candidate in torch.linspace(0, 1, _CANDIDATES + 1).tolist():
        keep = eigenvalues >= candidate
        projected = by_row.mH @ (maps * (parts * keep)[:, None]).sum(dim=0) @ by_column.conj()
        misfit = float((projected - data).abs().square().sum())
        risk = misfit + 2 * noise_variance * trace_per_pixel * int(keep.sum())
        if risk < least:
            best, least = candidate, risk
    return best


def _hann(samples: int) -> Tensor:
    """Hann window without its zero ends."""
    return torch.sin(math.pi * (torch.arange(samples) + 0.5) / samples).square()


def _inverse_dft(points: int, samples: int, like: Tensor) -> Tensor:
    """Inverse orthonormal DFT of centered, zero-padded samples, (points, samples)."""
    position = torch.arange(points, dtype=torch.float64, device=like.device) - points // 2
    frequency = torch.arange(samples, dtype=torch.float64, device=like.device) - samples // 2
    waves = torch.exp(2j * math.pi / points * torch.outer(position, frequency)) / math.sqrt(points)
    return waves.to(like.dtype)
