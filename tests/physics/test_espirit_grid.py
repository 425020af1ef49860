"""ESPIRiT's eigenproblem: interpolation from the coarse grid against the exact solution at every pixel."""

from __future__ import annotations

import math

import pytest
import torch

from kascade.physics.calibration import patch_correlation
from kascade.physics.espirit_grid import eigenmaps, grid_shape
from tests.battery import random_complex


def problem(coils: int = 5, kernel: int = 3, vectors: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlation of random orthonormal kernels, and orthonormal coil combinations."""
    basis = torch.linalg.qr(random_complex(coils * kernel**2, vectors))[0].mT.reshape(-1, coils, kernel, kernel)
    reference = torch.linalg.qr(random_complex(coils, coils, seed=1))[0]
    return patch_correlation(basis).to(torch.complex64), reference.to(torch.complex64)


def exact(correlation: torch.Tensor, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """All eigenvectors (rows, columns, coil, set) and eigenvalues, from the definition, in double precision."""
    lag = torch.arange(correlation.shape[-1], dtype=torch.float64) - correlation.shape[-1] // 2
    rows, columns = (
        torch.exp(2j * math.pi * torch.outer((torch.arange(n, dtype=torch.float64) - n // 2) / n, lag)) for n in shape
    )
    matrices = torch.einsum("xl,cdlm,ym->xycd", rows, correlation.to(rows.dtype), columns)
    values, vectors = torch.linalg.eigh(matrices)
    return vectors.flip(-1), values.flip(-1)


@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize("shape", [(96, 90), (61, 128)])
def test_interpolated_eigenvectors_are_those_of_every_pixel(sets: int, shape: tuple[int, int]) -> None:
    """For random kernels, which is far less smooth than coils: mostly to 1e-5, and never far off."""
    correlation, reference = problem()
    assert grid_shape(correlation, shape) != shape
    maps, eigenvalues = eigenmaps(correlation, reference[:, :sets], shape)
    vectors, values = exact(correlation, shape)
    kept = vectors[..., :sets].to(maps.dtype)
    explained = torch.linalg.svdvals(torch.einsum("xycs,tcxy->xyst", kept.conj(), maps))[..., -1]
    clear = values[..., sets] < 0.95 * values[..., sets - 1]
    assert float(clear.float().mean()) > 0.7
    lost = 1 - explained[clear]
    assert float(lost.median()) < 1e-5
    assert float(lost.quantile(0.99)) < 5e-3
    assert float(lost.max()) < 0.05
    found = eigenvalues.permute(1, 2, 0)[clear].double()
    assert float((found - values[..., :sets][clear]).abs().max()) < 0.02


def test_on_small_images_the_solution_is_exact() -> None:
    correlation, reference = problem()
    shape = (20, 17)
    assert grid_shape(correlation, shape) == shape
    maps, eigenvalues = eigenmaps(correlation, reference[:, :1], shape)
    vectors, values = exact(correlation, shape)
    same = torch.einsum("xyc,cxy->xy", vectors[..., 0].conj(), maps[0].to(vectors.dtype)).abs()
    torch.testing.assert_close(same, torch.ones_like(same), rtol=0, atol=1e-4)
    torch.testing.assert_close(eigenvalues[0].double(), values[..., 0].clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sets", [1, 3])
def test_maps_are_orthonormal_and_real_for_the_virtual_coil(sets: int) -> None:
    correlation, reference = problem()
    maps, eigenvalues = eigenmaps(correlation, reference[:, :sets], (100, 100))
    gram = torch.einsum("scxy,tcxy->xyst", maps.conj(), maps)
    torch.testing.assert_close(gram, torch.eye(sets, dtype=gram.dtype).expand_as(gram), rtol=0, atol=1e-4)
    seen = torch.einsum("c,scxy->sxy", reference[:, 0].conj(), maps)
    assert float(seen.imag.abs().max()) < 1e-4 and float(seen.real.min()) > -1e-4
    assert bool((eigenvalues[:-1] >= eigenvalues[1:] - 1e-5).all())
    assert 0 <= float(eigenvalues.min()) <= float(eigenvalues.max()) <= 1
