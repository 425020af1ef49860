"""Slice profiles, thick slices in the regularized solve, and cubic interpolation beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kascade.errors import ConfigError, ShapeError
from kascade.physics import ThickSlices, regularized_sense
from kascade.physics.interpolation import cubic_interpolation
from kascade.physics.thick_slices import PROFILES, profile_weights, sample_count


@given(
    length=st.integers(1, 40), factor=st.integers(1, 9), profile=st.sampled_from(PROFILES), offset=st.floats(0, 0.999)
)
def test_a_constant_stays_constant_whatever_the_length(length: int, factor: int, profile: str, offset: float) -> None:
    weights = profile_weights(length, factor, profile, first=offset * (min(factor, length) - 1))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights), dtype=torch.float64))


def test_centers_lie_at_multiples_of_the_factor() -> None:
    for profile in PROFILES:
        weights = profile_weights(181, 4, profile)
        assert weights.shape == (46, 181) and sample_count(181, 4) == 46
        inner = slice(5, 40)
        position = torch.arange(181, dtype=torch.float64)
        torch.testing.assert_close((weights @ position)[inner], 4 * torch.arange(46).double()[inner], atol=0.5, rtol=0)
        if profile != "fermi":  # whose ripples see the end of the grid
            torch.testing.assert_close((weights @ position)[inner], 4 * torch.arange(46).double()[inner])


def test_the_gaussian_has_half_its_height_at_half_the_factor() -> None:
    row = profile_weights(101, 10, "gaussian", first=50, count=1)[0]
    torch.testing.assert_close(row[[45, 55]], row[50] / 2 * torch.ones(2, dtype=torch.float64))


def test_the_box_is_the_mean_over_the_slice() -> None:
    torch.testing.assert_close(
        profile_weights(9, 3, "box", first=4, count=1)[0], torch.tensor([0, 0, 0, 1, 1, 1, 0, 0, 0]).double() / 3
    )
    even = profile_weights(9, 2, "box", first=4, count=1)[0]
    torch.testing.assert_close(even[3:6], torch.tensor([0.25, 0.5, 0.25]).double())


def test_fermi_keeps_slow_waves_and_drops_fast_ones() -> None:
    position = torch.arange(64, dtype=torch.float64)
    weights = profile_weights(64, 4, "fermi")
    slow, fast = (torch.cos(2 * torch.pi * f * position / 64) for f in (3, 24))
    torch.testing.assert_close(weights @ slow, slow[::4], atol=0.01, rtol=0)
    assert float((weights @ fast).abs().max()) < 1e-3


def test_a_factor_of_one_changes_nothing() -> None:
    x = torch.randn(3, 8, dtype=torch.complex64)
    for profile in ("box", "fermi"):
        torch.testing.assert_close(ThickSlices.of((3, 8), 1, profile=profile)(x), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lam", [0.5, 5.0])
def test_the_solve_agrees_with_the_normal_equations(lam: float) -> None:
    generator = torch.Generator().manual_seed(0)
    E = ThickSlices.of((2, 13), 4, dtype=torch.float64)
    y, z = (torch.randn(2, n, generator=generator, dtype=torch.float64) for n in (4, 13))
    W, a = E.weights, 1 / (4 * lam**2)
    expected = torch.linalg.solve(W.T @ W + a * torch.eye(13), (y @ W + a * z).T).T
    torch.testing.assert_close(regularized_sense(E, y, z, lam, tol=1e-12).image, expected)
    torch.testing.assert_close(regularized_sense(E, y + 0j, z + 0j, lam, tol=1e-12).image, expected + 0j)


def test_a_learned_profile_gets_its_gradient_through_the_solve() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = profile_weights(9, 2).requires_grad_()
    y, z = (torch.randn(1, n, generator=generator, dtype=torch.float64) + 0j for n in (5, 9))

    def image(w: torch.Tensor) -> torch.Tensor:
        return regularized_sense(ThickSlices(w, (1, 9)), y, z, 2.0, tol=1e-12).image

    assert torch.autograd.gradcheck(image, (weights,), fast_mode=True)


@pytest.mark.parametrize(("length", "factor", "first"), [(0, 2, 0), (8, 0, 0), (8, 2, 9), (8, 2, -40)])
def test_slices_off_the_grid_are_refused(length: int, factor: int, first: float) -> None:
    with pytest.raises(ConfigError):
        profile_weights(length, factor, first=first)


def test_wrong_profiles_and_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match="gaussian, box, fermi"):
        profile_weights(8, 2, "sinc")
    with pytest.raises(ShapeError, match="axis 1"):
        ThickSlices.of((4, 8), 2, axis=1)
    with pytest.raises(ShapeError, match=r"\(slices, 8\)"):
        ThickSlices(torch.ones(2, 7), (4, 8))


# --- interpolation --------------------------------------------------------------------------------------------------


@given(count=st.integers(1, 12), factor=st.integers(1, 5), first=st.integers(0, 3))
def test_interpolation_passes_through_the_slices(count: int, factor: int, first: int) -> None:
    y = torch.from_numpy(np.random.default_rng(0).standard_normal((2, count)))
    length = first + factor * count + 2
    fine = cubic_interpolation(y, factor, length=length, first=first)
    assert fine.shape == (2, length)
    torch.testing.assert_close(fine[:, first::factor][:, :count], y)
    torch.testing.assert_close(fine[:, :first], y[:, :1].expand(-1, first))
    assert float(fine[:, -1] @ torch.ones(2).double()) == pytest.approx(float(y[:, -1].sum()))


def test_interpolation_is_exact_for_cubics_and_keeps_what_it_is_given() -> None:
    position = torch.arange(21, dtype=torch.float64)
    cubic = (position - 9) ** 3 - 40 * position
    torch.testing.assert_close(cubic_interpolation(cubic[::4], 4, length=21), cubic)
    y = torch.randn(3, 5, 2, dtype=torch.complex64)
    fine = cubic_interpolation(y, 3, axis=-2)
    assert fine.shape == (3, 15, 2) and fine.dtype == torch.complex64
    torch.testing.assert_close(fine.imag, cubic_interpolation(y.imag, 3, axis=-2))


def test_interpolated_waves_come_close() -> None:
    position = torch.arange(65, dtype=torch.float64)
    wave = torch.sin(2 * math.pi * position / 24)
    error = (cubic_interpolation(wave[::4], 4, length=65) - wave).abs()
    linear = torch.from_numpy(np.interp(position, position[::4], wave[::4])) - wave
    assert float(error.max()) < 0.25 * float(linear.abs().max())
