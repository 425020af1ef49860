"""The guard: what noise explains is left alone, what contradicts the data is pulled back to them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kascade.physics import Encoding, regularized_sense
from kascade.unroll import UnrolledSENSE
from kascade.unroll.guard import SLACK, allowed_misfit, guard
from tests.battery import random_complex

SINGLE = torch.complex64
ROWS, COLUMNS = 40, 36


def scan(coils: int, accel: int, noise: float, seed: int = 0) -> tuple[Encoding, Tensor, Tensor]:
    """Operator, k-space with noise, true image."""
    maps = random_complex(coils, ROWS, COLUMNS, seed=seed, dtype=SINGLE)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    mask = (torch.arange(COLUMNS) % accel == 0).float()
    E = Encoding(maps, mask)
    truth = random_complex(ROWS, COLUMNS, seed=seed + 1, dtype=SINGLE)
    y = E(truth)
    return E, y + noise * mask * random_complex(*y.shape, seed=seed + 2, dtype=SINGLE), truth


def misfit(E: Encoding, y: Tensor, x: Tensor) -> float:
    return float((E(x) - y).norm() / y.norm())


class Darken(nn.Module):
    """A prior that takes dim pixels for noise."""

    def __init__(self, below: float) -> None:
        super().__init__()
        self.below = below

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.abs() < self.below * x.abs().median(), 0, x)


@settings(max_examples=15)
@given(coils=st.integers(6, 16), accel=st.integers(2, 3), noise=st.floats(0.05, 0.5), seed=st.integers(0, 100))
def test_the_truth_is_allowed_and_not_by_much(coils: int, accel: int, noise: float, seed: int) -> None:
    E, y, truth = scan(coils, accel, noise, seed)
    first = regularized_sense(E, y, lam=20.0, tol=1e-5).image
    allowed = allowed_misfit(E, y, misfit(E, y, first))
    assert allowed is not None
    assert allowed / SLACK == pytest.approx(misfit(E, y, truth), rel=0.05)


def test_an_image_that_explains_the_data_is_left_alone() -> None:
    E, y, _ = scan(coils=8, accel=2, noise=0.2)
    out = UnrolledSENSE(nn.Identity(), 2, lam=[8.0, 4.0, 4.0], final_consistency=True)(E, y, trace=True)
    assert out.trace is not None
    verdict = guard(E, y, out.image, out.trace)
    assert verdict.steps == 0 and verdict.image is out.image and len(out.trace.x) == 3


def test_what_the_network_takes_away_comes_back() -> None:
    E, y, truth = scan(coils=8, accel=2, noise=0.05)
    model = UnrolledSENSE(Darken(1.0), 2, lam=[8.0, 1.0, 0.3], final_consistency=True)
    with torch.no_grad():
        out = model(E, y, trace=True)
        assert out.trace is not None
        before = out.image
        verdict = guard(E, y, before, out.trace)
    assert verdict.allowed is not None and verdict.misfit > verdict.allowed
    assert verdict.steps >= 1 and len(out.trace.x) == len(out.trace.lam) == 3 + verdict.steps
    lams = [float(lam) for lam in out.trace.lam[2:]]
    assert lams == sorted(lams) and lams[-1] <= 8.0
    assert misfit(E, y, verdict.image) <= verdict.allowed * 1.001
    assert float((verdict.image - truth).norm()) < 0.5 * float((before - truth).norm())


def test_too_few_equations_tell_nothing() -> None:
    E, y, _ = scan(coils=2, accel=3, noise=0.1)
    assert allowed_misfit(E, y, 0.1) is None
    assert allowed_misfit(E, torch.zeros_like(y), 0.0) is None
    out = UnrolledSENSE(Darken(1.0), 1, lam=[8.0, 0.3], final_consistency=True)(E, y, trace=True)
    assert out.trace is not None
    verdict = guard(E, y, out.image, out.trace)
    assert verdict.allowed is None and verdict.steps == 0 and verdict.image is out.image


def test_cascades_that_end_with_their_network_are_left_alone() -> None:
    E, y, _ = scan(coils=8, accel=2, noise=0.05)
    out = UnrolledSENSE(Darken(1.0), 2, lam=[8.0, 1.0])(E, y, trace=True)
    assert out.trace is not None
    verdict = guard(E, y, out.image, out.trace)
    assert verdict.image is out.image and math.isnan(verdict.misfit) and verdict.steps == 0
