"""The crop threshold by SURE against the true error, which a simulation knows."""

from __future__ import annotations

import pytest
import torch

from kascade.physics import fft, ifft
from kascade.physics.espirit_crop import sure_crop
from tests.battery import random_complex


@pytest.mark.parametrize("sigma", [0.03, 0.3])
def test_only_signal_is_kept(sigma: float) -> None:
    """Known maps, an object in the middle, eigenvalues that fall outwards: the least true error is at its edge."""
    n, coils = 32, 4
    r, c = torch.meshgrid(torch.linspace(-1, 1, n), torch.linspace(-1, 1, n), indexing="ij")
    radius = (r**2 + c**2).sqrt()
    maps = random_complex(coils, 1, 1, dtype=torch.complex64).expand(coils, n, n)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    clean = fft(maps * 4 * torch.exp(-((radius / 0.4) ** 4)))
    noisy = clean + sigma * random_complex(coils, n, n, seed=2, dtype=torch.complex64)
    eigenvalues = (1 - 0.6 * radius).clamp(0, 1)[None]
    window = torch.sin(torch.pi * (torch.arange(n) + 0.5) / n).square()

    def true_error(crop: float) -> float:
        keep = eigenvalues[0] >= crop
        denoised = fft(maps * (maps.conj() * ifft(noisy * torch.outer(window, window))).sum(0) * keep)
        return float((denoised - clean * torch.outer(window, window)).norm())

    chosen = sure_crop(maps[None].contiguous(), eigenvalues, noisy, sigma**2)
    errors = [true_error(crop / 100) for crop in range(101)]
    assert true_error(chosen) < 1.02 * min(errors) < true_error(0.0)
    assert 0.4 < chosen < 0.9


def test_without_noise_everything_is_kept() -> None:
    maps = torch.ones(1, 1, 16, 16, dtype=torch.complex64)
    eigenvalues = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    chosen = sure_crop(maps, eigenvalues, random_complex(1, 16, 16, dtype=torch.complex64), 0.0)
    assert chosen <= float(eigenvalues.min())
