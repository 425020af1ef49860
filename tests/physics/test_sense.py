"""Regularized SENSE: closed form, the meaning of lambda, implicit gradients, memory."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import textwrap
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError, ShapeError
from kascade.physics import ConvergenceWarning, Encoding, regularized_sense
from tests.battery import dense_matrix, random_complex

TABLE_1 = (7.05, 3.91, 1.85, 1.11, 0.91)  # Nickel 2025; 7.05 stands there twice


def unit_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    maps = random_complex(*shape, seed=seed)
    return maps / torch.linalg.vector_norm(maps, dim=-3, keepdim=True)


def smooth_maps(coils: int, n: int) -> torch.Tensor:
    """Unit-norm Gaussian coil profiles around the field of view, unevenly spaced, with a phase ramp each."""
    grid = torch.linspace(-1, 1, n, dtype=torch.float64)
    angle = 2 * torch.pi * (torch.arange(coils) / coils) ** 1.1 + 0.3
    rows, columns = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    distance = (grid[:, None] - 1.2 * rows) ** 2 + (grid[None, :] - 1.2 * columns) ** 2
    maps = torch.exp(-distance / 1.5) * torch.exp(1j * (grid[:, None] * columns - grid[None, :] * rows))
    return maps / torch.linalg.vector_norm(maps, dim=0, keepdim=True)


def uniform(columns: int, accel: int) -> torch.Tensor:
    return (torch.arange(columns) % accel == 0).to(torch.float64)


def closed_form(E: Encoding, y: torch.Tensor, z: torch.Tensor | None, lam: float) -> torch.Tensor:
    matrix, a = dense_matrix(E), 1 / (4 * lam**2)
    right = matrix.conj().T @ y.flatten() + (0 if z is None else a * z.flatten())
    normal = matrix.conj().T @ matrix + a * torch.eye(matrix.shape[1], dtype=torch.float64)
    return torch.linalg.solve(normal, right).reshape(E.domain_shape)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 6),
    coils=st.integers(1, 4),
    lam=st.floats(0.05, 20),
    with_prior=st.booleans(),
    seed=st.integers(0, 999),
)
def test_closed_form(rows: int, columns: int, coils: int, lam: float, with_prior: bool, seed: int) -> None:
    mask = (torch.rand(columns, generator=torch.Generator().manual_seed(seed)) < 0.6).to(torch.float64)
    E = Encoding(unit_maps(coils, rows, columns, seed=seed), mask)
    y = E(random_complex(rows, columns, seed=seed + 1))
    z = random_complex(rows, columns, seed=seed + 2) if with_prior else None
    solution = regularized_sense(E, y, z, lam=lam, tol=1e-12)
    torch.testing.assert_close(solution.image, closed_form(E, y, z, lam), rtol=1e-7, atol=1e-8)
    assert bool(solution.converged) and float(solution.residual) <= 1e-12


def test_two_sets_and_three_dimensions() -> None:
    two_sets = Encoding(unit_maps(2, 3, 4, 5) / 2**0.5, uniform(5, 2), sets=2)
    volume = Encoding(unit_maps(3, 2, 4, 5), uniform(5, 2), ndim=3)
    for E in (two_sets, volume):
        y, z = E(random_complex(*E.domain_shape, seed=1)), random_complex(*E.domain_shape, seed=2)
        image = regularized_sense(E, y, z, lam=2.0, tol=1e-12).image
        torch.testing.assert_close(image, closed_form(E, y, z, 2.0), rtol=1e-8, atol=1e-8)


def test_a_batch_equals_its_items_one_by_one() -> None:
    maps, masks = unit_maps(3, 4, 6, 8), torch.stack([uniform(8, r) for r in (1, 2, 4)]).reshape(3, 1, 1, 8)
    y, z = random_complex(3, 4, 6, 8, seed=1), random_complex(3, 6, 8, seed=2)
    lam = torch.tensor([0.5, 5.0, 2.0], dtype=torch.float64)
    batch = regularized_sense(Encoding(maps, masks), y, z, lam=lam, tol=1e-9)
    for i in range(3):
        alone = regularized_sense(Encoding(maps[i], masks[i, 0, 0]), y[i], z[i], lam=float(lam[i]), tol=1e-9)
        torch.testing.assert_close(batch.image[i], alone.image, rtol=1e-12, atol=1e-12)
        assert batch.iterations[i] == alone.iterations
    assert len(set(batch.iterations.tolist())) > 1


def test_lambda_goes_from_the_prior_to_unregularized_sense() -> None:
    E = Encoding(smooth_maps(6, 8), uniform(8, 2))
    x, z = random_complex(8, 8, seed=1), random_complex(8, 8, seed=2)
    y = E(x)
    torch.testing.assert_close(regularized_sense(E, y, z, lam=1e-5).image, z, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(regularized_sense(E, y, z, lam=math.inf, tol=1e-12).image, x, rtol=1e-6, atol=1e-6)


def noise_gain(E: Encoding, lam: float) -> float:
    """||G||_2 of the noise map G = (E^H E + a I)^-1 E^H: each column of G, for an acquired sample, is a solve."""
    unit = torch.eye(math.prod(E.range_shape), dtype=torch.complex128).reshape(-1, *E.range_shape)
    assert E.mask is not None
    acquired = E.mask.expand(E.range_shape).flatten() > 0
    columns = regularized_sense(E, unit[acquired], lam=lam, tol=1e-9).image
    return float(torch.linalg.matrix_norm(columns.flatten(1), ord=2))


@pytest.mark.parametrize("lam", TABLE_1)
def test_lambda_bounds_the_noise_gain_and_attains_it(lam: float) -> None:
    """METHODS.md, section 4: 16 x 16, 4 coils, R = 4 attains the bound to 1 %."""
    E = Encoding(smooth_maps(4, 16), uniform(16, 4))
    gain = noise_gain(E, lam)
    assert gain <= lam * (1 + 1e-6)
    assert gain >= 0.99 * lam


# --- gradients ------------------------------------------------------------------------------------------------------


def gradient_inputs() -> tuple[torch.Tensor, ...]:
    maps = unit_maps(2, 3, 4).requires_grad_()
    mask = torch.tensor([1.0, 0.0, 1.0, 0.7], dtype=torch.float64).requires_grad_()
    y, z = random_complex(2, 3, 4, seed=1).requires_grad_(), random_complex(3, 4, seed=2).requires_grad_()
    return y, z, torch.tensor(0.9, dtype=torch.float64).requires_grad_(), maps, mask


def solve(y: torch.Tensor, z: torch.Tensor, lam: torch.Tensor, maps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return regularized_sense(Encoding(maps, mask), y, z, lam=lam, tol=1e-13).image


def test_first_and_second_derivatives() -> None:
    inputs = gradient_inputs()
    assert torch.autograd.gradcheck(solve, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(solve, inputs, fast_mode=True)


def test_derivatives_of_a_batch_with_a_lambda_for_each_item() -> None:
    maps, y, z = unit_maps(2, 2, 3, 4), random_complex(2, 2, 3, 4, seed=1), random_complex(2, 3, 4, seed=2)
    lam = torch.tensor([0.5, 1.5], dtype=torch.float64).requires_grad_()

    def of_lambda(lam: torch.Tensor) -> torch.Tensor:
        return regularized_sense(Encoding(maps, uniform(4, 2)), y, z, lam=lam, tol=1e-13).image

    assert torch.autograd.gradcheck(of_lambda, (lam,)) and torch.autograd.gradgradcheck(of_lambda, (lam,))


def test_lambda_gradient_has_its_closed_form() -> None:
    """dL/dlam = Re<v, x - z> / (2 lam^3) with (E^H E + a I) v = g."""
    y, z, lam, maps, mask = gradient_inputs()
    E = Encoding(maps.detach(), mask.detach())
    x = regularized_sense(E, y.detach(), z.detach(), lam=lam, tol=1e-13).image
    g = random_complex(3, 4, seed=5)
    (gradient,) = torch.autograd.grad(x, lam, g)
    v = closed_form(E, torch.zeros_like(y), 4 * 0.9**2 * g, 0.9)
    expected = (v.conj() * (x.detach() - z)).real.sum() / (2 * lam**3)
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-9, atol=1e-12)


def test_first_order_backward_records_no_graph() -> None:
    y, z, lam, maps, mask = gradient_inputs()
    grads = torch.autograd.grad(solve(y, z, lam, maps, mask).abs().sum(), (y, z, lam, maps))
    assert not any(g.requires_grad for g in grads)


def test_training_memory_does_not_grow_with_iterations() -> None:
    """Peak resident memory of forward and backward, 10 against 100 CG iterations, each in a process of its own."""
    code = """
        import resource, sys, warnings, torch
        from kascade.physics import Encoding, regularized_sense
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        iterations, n = int(sys.argv[1]), 256
        maps = torch.randn(8, n, n, dtype=torch.complex64)
        maps = (maps / maps.norm(dim=0)).requires_grad_()
        lam = torch.tensor(7.0, requires_grad=True)
        E = Encoding(maps, (torch.arange(n) % 4 == 0).float())
        y = torch.randn(8, n, n, dtype=torch.complex64)
        image = regularized_sense(E, y, lam=lam, tol=1e-30, max_iter=iterations).image
        image.abs().sum().backward()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), n], capture_output=True, text=True, check=True
            ).stdout
        )
        for n in ("10", "100")
    ]
    assert abs(peaks[1] - peaks[0]) < 0.05 * peaks[0], peaks


def test_an_image_with_a_graph_is_freed_with_its_last_reference() -> None:
    """Not only when Python looks for cycles, which it seldom does: a training would grow by each step's images."""
    y, z, lam, maps, mask = gradient_inputs()
    gc.collect()
    gc.disable()
    try:
        image = weakref.ref(solve(y, z, lam, maps, mask))
        assert image() is None
    finally:
        gc.enable()


# --- bad input ------------------------------------------------------------------------------------------------------


def test_unconverged_warns_and_does_not_raise() -> None:
    E = Encoding(smooth_maps(4, 8), uniform(8, 4))
    with pytest.warns(ConvergenceWarning, match="after 2 iterations"):
        solution = regularized_sense(E, random_complex(4, 8, 8), lam=20.0, max_iter=2)
    assert not bool(solution.converged)


def test_all_zero_data_gives_zeros() -> None:
    E = Encoding(smooth_maps(4, 8), uniform(8, 4))
    assert not regularized_sense(E, torch.zeros(4, 8, 8, dtype=torch.complex128)).image.any()


@pytest.mark.parametrize("lam", [0.0, -1.0, math.nan])
def test_lambda_must_be_positive(lam: float) -> None:
    with pytest.raises(ConfigError, match="lam must be positive"):
        regularized_sense(Encoding(smooth_maps(2, 4)), random_complex(2, 4, 4), lam=lam)


def test_lambda_never_broadcasts_onto_columns() -> None:
    with pytest.raises(ConfigError, match=r"scalar or have the batch shape \(\)"):
        regularized_sense(Encoding(smooth_maps(2, 4)), random_complex(2, 4, 4), lam=torch.ones(4))


def test_unfit_data_names_what_was_expected() -> None:
    E = Encoding(smooth_maps(2, 4))
    with pytest.raises(ShapeError, match=r"y for Fourier.*axis -1 has 5, expected 4"):
        regularized_sense(E, random_complex(2, 4, 5))
    with pytest.raises(ShapeError, match="prior"):
        regularized_sense(E, random_complex(2, 4, 4), random_complex(4, 3))
