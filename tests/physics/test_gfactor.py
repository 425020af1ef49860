"""g-factor: dense matrices, known cases, pseudo-replicas, the lambda bound."""

from __future__ import annotations

import math

import pytest
import torch

from kascade.errors import ConfigError, ShapeError
from kascade.physics import Encoding, regularized_sense
from kascade.physics.gfactor import gfactor_uniform, noise_amplification
from tests.battery import dense_matrix, random_complex


def smooth_maps(coils: int = 4, rows: int = 6, columns: int = 12) -> torch.Tensor:
    r, c = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    angle = 2 * torch.pi * torch.arange(coils) / coils + 0.3
    maps = [torch.exp(-((r - a.cos()) ** 2 + (c - a.sin()) ** 2) + 1j * a * r) for a in angle]
    stacked = torch.stack(maps).to(torch.complex64)
    return stacked / torch.linalg.vector_norm(stacked, dim=0)


def uniform(columns: int, accel: int) -> torch.Tensor:
    return (torch.arange(columns) % accel == 0).float()


def dense_gfactor(maps: torch.Tensor, accel: int, covariance: torch.Tensor) -> torch.Tensor:
    """From the definition: SNR_full / (SNR_accelerated sqrt(R)) with the dense encoding matrix."""
    maps = maps.to(torch.complex128)
    _, rows, columns = maps.shape
    noise = torch.kron(torch.linalg.inv(covariance).contiguous(), torch.eye(rows * columns, dtype=torch.complex128))

    def variance(mask: torch.Tensor) -> torch.Tensor:
        matrix = dense_matrix(Encoding(maps, mask.double()))
        return torch.linalg.inv(matrix.mH @ noise @ matrix).diagonal().real

    ratio = variance(uniform(columns, accel)) / (accel * variance(torch.ones(columns)))
    return ratio.sqrt().reshape(rows, columns).float()


@pytest.mark.parametrize("accel", [1, 2, 3])
def test_closed_form_equals_the_definition(accel: int) -> None:
    maps = smooth_maps()
    mix = random_complex(4, 4, seed=1) * 0.2 + torch.eye(4)
    covariance = mix @ mix.mH
    expected = dense_gfactor(maps, accel, covariance)
    torch.testing.assert_close(gfactor_uniform(maps, accel, covariance), expected, rtol=1e-3, atol=1e-3)
    assert float(gfactor_uniform(maps, accel).min()) >= 1 - 1e-5


def test_orthogonal_coils_have_no_noise_penalty_and_equal_ones_no_solution() -> None:
    halves = torch.zeros(2, 3, 8, dtype=torch.complex64)
    halves[0, :, :4] = halves[1, :, 4:] = 1
    torch.testing.assert_close(gfactor_uniform(halves, 2), torch.ones(3, 8))
    equal = torch.full((2, 3, 8), 0.5**0.5, dtype=torch.complex64)
    g = gfactor_uniform(equal, 2)
    assert bool((g > 1e5).all())


def test_empty_pixels_are_left_out() -> None:
    maps = smooth_maps()
    maps[:, :, 6:] = 0
    g = gfactor_uniform(maps, 2)
    assert not g[:, 6:].any()
    torch.testing.assert_close(g[:, :6], torch.ones(6, 6))


def test_pseudo_replicas_agree_with_the_closed_form() -> None:
    maps, accel, replicas = smooth_maps(), 2, 2000
    E, full = Encoding(maps, uniform(12, accel)), Encoding(maps)

    def amplification(E: Encoding) -> torch.Tensor:
        return noise_amplification(
            lambda n: regularized_sense(E, n, lam=math.inf, tol=1e-5).image, (4, 6, 12), mask=E.mask, replicas=replicas
        )

    g = amplification(E) / (accel**0.5 * amplification(full))
    torch.testing.assert_close(g, gfactor_uniform(maps, accel), rtol=5 / (2 * replicas) ** 0.5, atol=0)


@pytest.mark.parametrize("lam", [0.5, 1.0, 3.0])
def test_regularized_noise_stays_below_lambda(lam: float) -> None:
    maps = smooth_maps(3)
    E = Encoding(maps, uniform(12, 4))
    seen: list[tuple[int, int]] = []
    std = noise_amplification(
        lambda n: regularized_sense(E, n, lam=lam, tol=1e-4).image,
        (3, 6, 12),
        replicas=400,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert float(std.max()) <= lam * (1 + 4 / (2 * 400) ** 0.5) and seen[-1] == (400, 400)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="R = 5 does not divide 12 columns"):
        gfactor_uniform(smooth_maps(), 5)
    with pytest.raises(ShapeError, match=r"complex \(coil, rows, columns\)"):
        gfactor_uniform(smooth_maps()[0], 2)
    with pytest.raises(ConfigError, match="at least 2"):
        noise_amplification(lambda n: n[:, 0], (1, 4, 4), replicas=1)
