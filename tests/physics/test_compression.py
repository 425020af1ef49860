"""Coil compression: energy, orthonormality, smoothness along the readout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError, ShapeError
from kascade.physics import fft
from kascade.physics.compression import compress_geometric, compress_svd
from kascade.physics.rss import rss
from tests.battery import random_complex


def smooth_kspace(coils: int = 8, rows: int = 32, columns: int = 24) -> torch.Tensor:
    r, c = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    angle = 2 * torch.pi * torch.arange(coils) / coils
    maps = torch.stack([torch.exp(-((r - a.cos()) ** 2 + (c - a.sin()) ** 2) / 2 + 1j * a * r) for a in angle])
    return fft(maps * (r**2 + c**2 < 0.7)).to(torch.complex128)


@settings(max_examples=15, deadline=None)
@given(coils=st.integers(1, 5), rows=st.integers(1, 6), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_with_all_coils_nothing_is_lost(coils: int, rows: int, columns: int, seed: int) -> None:
    kspace = random_complex(coils, rows, columns, seed=seed)
    for compress in (compress_svd, compress_geometric):
        virtual = compress(kspace, coils).kspace(kspace)
        torch.testing.assert_close(virtual.norm(), kspace.norm(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(rss(compress_svd(kspace, coils).kspace(kspace)), rss(kspace), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compress", [compress_svd, compress_geometric])
@pytest.mark.parametrize("energy", [0.9, 0.99, 0.999])
def test_energy_is_kept_with_orthonormal_rows(compress, energy: float) -> None:  # type: ignore[no-untyped-def]
    kspace = smooth_kspace()
    compression = compress(kspace, energy=energy)
    kept = (compression.kspace(kspace).norm() / kspace.norm()) ** 2
    assert float(kept) >= energy - 1e-3 and compression.coils < 8
    identity = torch.eye(compression.coils, dtype=kspace.dtype)
    products = compression.matrix @ compression.matrix.mH
    torch.testing.assert_close(products, identity.expand_as(products), rtol=1e-9, atol=1e-9)


def test_geometric_compression_keeps_more_with_as_many_coils() -> None:
    kspace = smooth_kspace()
    lost = [
        1 - float((c(kspace, 3).kspace(kspace).norm() / kspace.norm()) ** 2) for c in (compress_svd, compress_geometric)
    ]
    assert lost[1] < 0.5 * lost[0]


def test_geometric_matrices_change_smoothly_along_the_readout() -> None:
    matrices = compress_geometric(smooth_kspace(), 3).matrix
    inside = matrices[8:24]  # rows that the object fills
    steps = torch.linalg.matrix_norm(inside[1:] - inside[:-1])
    assert float(steps.max()) < 0.5


def test_bad_input() -> None:
    kspace = random_complex(3, 4, 4)
    with pytest.raises(ConfigError, match="virtual coils must lie between 1 and 3, got 4"):
        compress_svd(kspace, 4)
    with pytest.raises(ConfigError, match="energy must be above 0"):
        compress_geometric(kspace, energy=0)
    with pytest.raises(ShapeError, match=r"complex \(coil, rows, columns\)"):
        compress_svd(kspace[0])
    with pytest.raises(ShapeError, match="of 3 coils"):
        compress_svd(kspace, 2).kspace(kspace[:2])
    assert compress_svd(torch.zeros_like(kspace)).coils == 1
