"""Conjugate gradients by kernels: the CUDA sources, compiled for the CPU, against torch in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kascade.physics import ConvergenceWarning, Encoding, regularized_sense
from kascade.physics.kernels import updates
from kascade.physics.kernels.updates import KernelUpdates
from kascade.physics.solvers import conjugate_gradient
from tests.battery import random_complex
from tests.physics.kernels.emulator import BACKWARDS, FORWARDS, SHUFFLED, Emulator

SINGLE = torch.complex64
Matrix = Callable[[Tensor], Tensor]


def system(items: int, samples: int, seed: int = 0) -> tuple[Matrix, Tensor]:
    """A well conditioned diagonal system for each item, and right-hand sides; items differ in their condition."""
    diagonal = 1 + torch.rand(items, samples, generator=torch.Generator().manual_seed(seed)).double()
    diagonal = diagonal ** torch.linspace(0.2, 2, items)[:, None]
    return lambda p: diagonal.to(p.real.dtype) * p, random_complex(items, samples, seed=seed + 1)


@pytest.mark.parametrize("order", [FORWARDS, BACKWARDS, SHUFFLED])
@pytest.mark.parametrize(("items", "samples"), [(1, 1), (1, 300), (3, 2500), (2, 7)])
def test_solves_as_torch_does(emulator: Emulator, items: int, samples: int, order: int) -> None:
    A, b = system(items, samples)
    shift = torch.linspace(0, 0.5, items, dtype=torch.float64)[:, None]
    start = random_complex(items, samples, seed=5)
    expected = conjugate_gradient(A, b, start, shift=shift, item_ndim=1, tol=1e-4)
    assert not emulator.started
    emulator.order = order
    result = conjugate_gradient(A, b.to(SINGLE), start.to(SINGLE), shift=shift.float(), item_ndim=1, tol=1e-4)
    assert emulator.started == ["curvature", "advance", "direction"] * int(result.iterations.max())
    assert torch.equal(result.iterations, expected.iterations) and bool(result.converged.all())
    assert float((result.x - expected.x).norm()) < 1e-5 * float(expected.x.norm())
    torch.testing.assert_close(result.residual.double(), expected.residual, rtol=1e-2, atol=1e-6)


def test_many_blocks_add_up(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More partial sums than a block has threads, and threads with several samples."""
    monkeypatch.setattr(updates, "SAMPLES_OF_A_THREAD", 1)
    A, b = system(1, 260 * updates.THREADS)
    for most in (3, 300):
        monkeypatch.setattr(updates, "MOST_BLOCKS", most)
        result = conjugate_gradient(A, b.to(SINGLE), item_ndim=1, tol=0.1)
        expected = conjugate_gradient(A, b, item_ndim=1, tol=0.1)
        assert float((result.x - expected.x).norm()) < 1e-5 * float(expected.x.norm())


def test_items_that_are_done_are_left_alone(emulator: Emulator) -> None:
    """Iterations beyond convergence, which a GPU makes because nobody waits for it, change nothing."""
    A, b = system(3, 40)
    b[1] = 0
    limit, r = torch.tensor([1e-3, 1e-3, 1e9]), b.to(SINGLE)
    r2 = torch.linalg.vecdot(r, r).real
    active = (r2 > limit) & (r2 > 0)
    assert active.tolist() == [True, False, False]
    state = KernelUpdates(torch.zeros_like(r), r, torch.zeros(3), limit, r2, active)
    while bool(state.active.any()):
        state(A(state.p))
    kept = [t.clone() for t in (state.x, state.r, state.r2, state.iterations)]
    assert state.iterations.tolist()[1:] == [0, 0] and state.iterations[0] >= 2 and not state.x[1:].any()
    for _ in range(3):
        state(torch.full_like(r, math.nan))
    assert all(torch.equal(a, b) for a, b in zip(kept, (state.x, state.r, state.r2, state.iterations), strict=True))


def test_an_operator_that_returns_its_argument(emulator: Emulator) -> None:
    b = random_complex(2, 5, dtype=SINGLE)
    result = conjugate_gradient(lambda p: p, b, shift=1.0, item_ndim=1)
    torch.testing.assert_close(result.x, b / 2)
    lazily = conjugate_gradient(lambda p: (2 * p).conj().resolve_conj().conj(), b, item_ndim=1)
    torch.testing.assert_close(lazily.x, b / 2)


def test_zero_data_and_a_start_elsewhere(emulator: Emulator) -> None:
    b = torch.zeros(2, 6, dtype=SINGLE)
    b[1] = 1
    result = conjugate_gradient(lambda p: 2 * p, b, torch.ones_like(b), item_ndim=1)
    torch.testing.assert_close(result.x, b / 2)
    assert result.iterations[0] == 0


def test_progress_is_told(emulator: Emulator) -> None:
    A, b = system(1, 20)
    seen: list[float] = []
    result = conjugate_gradient(A, b.to(SINGLE), item_ndim=1, callback=lambda n, residual: seen.append(float(residual)))
    assert len(seen) == int(result.iterations) and seen[-1] == float(result.residual) < seen[0]


# --- the whole of regularized SENSE ---------------------------------------------------------------------------------


def sense_inputs(batch: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    maps = random_complex(*batch, 4, 6, 12)
    maps = maps / torch.linalg.vector_norm(maps, dim=-3, keepdim=True)
    y, z = random_complex(*batch, 4, 6, 12, seed=1), random_complex(*batch, 6, 12, seed=2)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.5] * 3, dtype=torch.float64)
    return maps, mask, y, z, torch.linspace(0.5, 2.0, math.prod(batch), dtype=torch.float64).reshape(batch)


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_sense_and_its_gradients_equal_those_of_torch(emulator: Emulator, batch: tuple[int, ...]) -> None:
    """To the data, the prior, lambda, the maps and the mask; the solve of the backward pass goes by kernels, too."""

    def solve(inputs: tuple[Tensor, ...], tol: float) -> tuple[Tensor, ...]:
        inputs = tuple(t.detach().requires_grad_() for t in inputs)
        maps, mask, y, z, lam = inputs
        solution = regularized_sense(Encoding(maps, mask), y, z, lam=lam, tol=tol)
        weight = random_complex(*solution.image.shape, seed=3).to(solution.image.dtype)
        return (solution.image.detach(), *torch.autograd.grad((weight * solution.image).real.sum(), inputs))

    inputs = sense_inputs(batch)
    expected = solve(inputs, 1e-12)
    assert not emulator.started
    single = tuple(t.to(SINGLE if t.is_complex() else torch.float32) for t in inputs)
    results = solve(single, 1e-6)
    forward_and_back = emulator.started.count("gram")
    assert forward_and_back == emulator.started.count("advance") + 1 > 8  # one gram more: for the start at the prior
    for result, reference in zip(results, expected, strict=True):
        assert float((result - reference).norm()) < 2e-5 * float(reference.norm())


def test_unconverged_items_are_told(emulator: Emulator) -> None:
    maps, mask, y, _, _ = sense_inputs(())
    with pytest.warns(ConvergenceWarning, match="after 2 iterations"):
        solution = regularized_sense(Encoding(maps, mask).to(SINGLE), y.to(SINGLE), lam=20.0, max_iter=2)
    assert not bool(solution.converged) and int(solution.iterations) == 2
