"""Wavelet and total-variation reconstruction: transforms, optimality, weights, behavior on odd input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError
from kascade.physics import Encoding
from kascade.recon.automatic import image_scale, noise_level
from kascade.recon.total_variation import differences, differences_adjoint, total_variation
from kascade.recon.wavelet import WaveletShrinkage, l1_wavelet
from tests.battery import inner, random_complex


def piecewise_constant(rows: int, columns: int) -> torch.Tensor:
    image = torch.zeros(rows, columns, dtype=torch.complex64)
    image[rows // 4 : -rows // 4, columns // 4 : -columns // 4] = 1 + 0.5j
    image[rows // 3 : rows // 2, columns // 3 : columns // 2] = 2
    return image


def simulated(noise: float = 0.0, accel: int = 3) -> tuple[Encoding, torch.Tensor, torch.Tensor]:
    """Four smooth coils, a piecewise constant object, every third column and a center."""
    rows, columns, coils = 40, 48, 4
    r, c = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    centers = ((-1, -1), (-1, 1), (1, -1), (1, 1.2))
    maps = torch.stack([torch.exp(-((r - a) ** 2 + (c - b) ** 2) / 2 + 0.5j * (a * c - b * r)) for a, b in centers])
    maps = (maps / torch.linalg.vector_norm(maps, dim=0)).to(torch.complex64)
    mask = (torch.arange(columns) % accel == 0).float()
    mask[columns // 2 - 4 : columns // 2 + 4] = 1
    E = Encoding(maps, mask)
    x = piecewise_constant(rows, columns)
    return E, x, E(x) + noise * mask * random_complex(coils, rows, columns, dtype=torch.complex64)


def error(x: torch.Tensor, truth: torch.Tensor) -> float:
    return float((x - truth).norm() / truth.norm())


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 99))
def test_wavelet_shrinkage_without_threshold_is_the_identity(rows: int, columns: int, seed: int) -> None:
    x = random_complex(rows, columns, seed=seed, dtype=torch.complex64)
    y = WaveletShrinkage(0.0, seed=seed)(x)
    torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-5)


def test_wavelet_shrinkage_solves_its_problem_where_the_transform_is_orthonormal() -> None:
    """x = argmin 1/2 ||x - v||^2 + t ||W x||_1: no nearby point does better."""
    import numpy as np
    import pywt

    v, t = random_complex(64, 64, seed=1, dtype=torch.complex64), 0.7
    shrink = WaveletShrinkage(t, seed=3)
    shift = tuple(int(s) for s in np.random.default_rng(3).integers(0, 16, 2))
    x = shrink(v)

    def cost(x: torch.Tensor) -> float:
        _, *details = pywt.wavedec2(torch.roll(x, shift, (-2, -1)).numpy(), "db2", mode="periodization", level=4)
        return 0.5 * float((x - v).abs().square().sum()) + t * sum(
            float(abs(b).sum()) for level in details for b in level
        )

    best = cost(x)
    for seed in range(5):
        assert cost(x + 0.05 * random_complex(64, 64, seed=seed, dtype=torch.complex64)) > best


@settings(max_examples=20, deadline=None)
@given(shape=st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7)), seed=st.integers(0, 99))
def test_differences_have_an_exact_adjoint(shape: tuple[int, int, int], seed: int) -> None:
    x, d = random_complex(*shape, seed=seed), random_complex(2, *shape, seed=seed + 1)
    left, right = inner(differences(x), d), inner(x, differences_adjoint(d))
    assert abs(left - right) <= 1e-12 * (1 + abs(left))
    assert float(differences(torch.ones(shape, dtype=torch.complex128)).abs().max()) == 0


@pytest.mark.parametrize("solve", [l1_wavelet, total_variation])
def test_better_than_the_adjoint_image_and_than_sense(solve) -> None:  # type: ignore[no-untyped-def]
    from kascade.physics import regularized_sense

    E, x, y = simulated(noise=0.03)
    result, weight = solve(E, y)
    assert weight > 0
    assert error(result.x, x) < 0.8 * error(regularized_sense(E, y, lam=5.0).image, x)
    assert len(result.changes) >= 2


def test_total_variation_reaches_the_minimum_of_its_cost() -> None:
    E, _, y = simulated(noise=0.03)
    result, weight = total_variation(E, y, 0.01, max_iter=400, tol=1e-6)
    radius = 0.01 * image_scale(E.H(y))
    assert weight == 0.01

    def cost(x: torch.Tensor) -> float:
        fit = 0.5 * float((E(x) - y).abs().square().sum())
        return fit + radius * float(torch.linalg.vector_norm(differences(x), dim=0).sum())

    best = cost(result.x)
    for seed in range(5):
        direction = random_complex(40, 48, seed=seed, dtype=torch.complex64)
        assert cost(result.x + 1e-2 * direction) > best
    assert cost(0.99 * result.x) > best and cost(1.01 * result.x) > best


@pytest.mark.parametrize("solve", [l1_wavelet, total_variation])
def test_units_of_the_data_do_not_matter(solve) -> None:  # type: ignore[no-untyped-def]
    E, _, y = simulated(noise=0.03)
    plain, weight = solve(E, y)
    scaled, same_weight = solve(E, 1e-6 * y)
    assert abs(weight - same_weight) < 1e-4 * weight
    torch.testing.assert_close(1e6 * scaled.x, plain.x, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("solve", [l1_wavelet, total_variation])
def test_zero_data_gives_zeros(solve) -> None:  # type: ignore[no-untyped-def]
    E, _, y = simulated()
    result, _ = solve(E, torch.zeros_like(y))
    assert not result.x.any() and result.converged


@pytest.mark.parametrize("solve", [l1_wavelet, total_variation])
def test_negative_weights_are_refused(solve) -> None:  # type: ignore[no-untyped-def]
    E, _, y = simulated()
    with pytest.raises(ConfigError, match="lam must be 0 or more"):
        solve(E, y, -1.0)


def test_unknown_wavelet_is_refused() -> None:
    with pytest.raises(ConfigError, match="'nowave' is no orthogonal wavelet"):
        WaveletShrinkage(0.1, wavelet="nowave")


def test_noise_level_is_that_of_the_quietest_corner() -> None:
    y = 0.3 * random_complex(4, 80, 80, dtype=torch.complex64)
    y[:, :8, :8] *= 10
    level = noise_level(y)
    assert level is not None and abs(level - 0.3) < 0.03
    assert noise_level(torch.zeros(4, 80, 80, dtype=torch.complex64)) is None
