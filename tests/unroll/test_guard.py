"""The guard: a good last step is left alone, a prior that does not fit the data loses weight."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kascade.physics import Encoding, regularized_sense
from kascade.unroll import UnrolledSENSE
from kascade.unroll.guard import cross_validation, guard
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


class Fixed(nn.Module):
    """A prior that always gives the same image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, x: Tensor) -> Tensor:
        return self.image


def cascade(z: Tensor, last: float) -> UnrolledSENSE:
    return UnrolledSENSE(Fixed(z), 1, lam=[8.0, last], final_consistency=True)


@settings(max_examples=15, deadline=None)
@given(
    coils=st.integers(3, 10),
    accel=st.integers(1, 3),
    noise=st.floats(0.05, 0.5),
    wrong=st.floats(0.02, 1.0),
    seed=st.integers(0, 100),
)
def test_the_best_score_has_nearly_the_least_error(
    coils: int, accel: int, noise: float, wrong: float, seed: int
) -> None:
    """For a prior image whose error has nothing to do with the noise; where it drowns in noise, more roughly."""
    E, y, truth = scan(coils, accel, noise, seed)
    z = truth + wrong * random_complex(ROWS, COLUMNS, seed=seed + 3, dtype=SINGLE)
    lams = [0.1 * 1.5**k for k in range(12)]
    score = cross_validation(E, y, z)
    scores = [score(lam) for lam in lams]
    errors = [float((regularized_sense(E, y, z, lam, tol=1e-4).image - truth).norm()) for lam in lams]
    found = errors[scores.index(min(scores))]
    assert found < 1.15 * min(errors) or (wrong < noise and found < 1.15 * min(errors) + 0.1 * max(errors))


def test_a_good_prior_is_left_alone() -> None:
    E, y, truth = scan(coils=8, accel=2, noise=0.2)
    out = cascade(truth, 0.1)(E, y, trace=True)
    assert out.trace is not None
    verdict = guard(E, y, out.image, out.trace)
    assert verdict.image is out.image and verdict.lam == verdict.model_lam and len(out.trace.x) == 2


def test_what_the_network_takes_away_comes_back() -> None:
    E, y, truth = scan(coils=8, accel=2, noise=0.05)
    z = torch.where(truth.abs() < truth.abs().median(), 0, truth)
    with torch.no_grad():
        out = cascade(z, 0.3)(E, y, trace=True)
        assert out.trace is not None
        verdict = guard(E, y, out.image, out.trace)
    assert verdict.lam is not None and verdict.model_lam is not None
    assert verdict.model_lam < verdict.lam <= 8.0
    assert len(out.trace.x) == len(out.trace.lam) == 3 and float(out.trace.lam[-1]) == torch.tensor(verdict.lam)
    assert float((verdict.image - truth).norm()) < 0.5 * float((out.image - truth).norm())


def test_data_that_cannot_tell_leave_the_model_as_it_is() -> None:
    """One coil, fully sampled: every lambda predicts unseen samples equally badly. And no signal at all."""
    E = Encoding(torch.ones(1, ROWS, COLUMNS, dtype=SINGLE))
    y = random_complex(1, ROWS, COLUMNS, seed=0, dtype=SINGLE)
    for data in (y, torch.zeros_like(y)):
        out = cascade(random_complex(ROWS, COLUMNS, seed=1, dtype=SINGLE), 0.3)(E, data, trace=True)
        assert out.trace is not None
        assert guard(E, data, out.image, out.trace).image is out.image


def test_cascades_that_end_with_their_network_are_left_alone() -> None:
    E, y, truth = scan(coils=8, accel=2, noise=0.05)
    out = UnrolledSENSE(Fixed(0.5 * truth), 1, lam=[8.0])(E, y, trace=True)
    assert out.trace is not None
    verdict = guard(E, y, out.image, out.trace)
    assert verdict.image is out.image and verdict.lam is None
