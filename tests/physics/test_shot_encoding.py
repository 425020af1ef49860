"""Encoding of a moving object: the battery, equality with its expression, and its fast path."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from kascade.errors import ShapeError
from kascade.physics import Encoding, ShotEncoding, Sum, regularized_sense
from kascade.physics.rigid_motion import PADDING
from kascade.unroll import UnrolledSENSE
from tests.battery import check_operator, random_complex

C, R, N = 3, 4, 6
DOUBLE = torch.float64
maps = random_complex(C, R, N, seed=10)
moving = torch.tensor([[0.3, -0.4, 2.0], [0.0, 0.0, 0.0], [-0.6, 0.2, -3.0]], dtype=DOUBLE)
shots = (0, 1, 2, 0, 1, -1)
mask = torch.tensor([1, 1, 0, 1, 0.5, 1], dtype=DOUBLE)
in_3d = torch.tensor([[0.3, -0.4, 0.2, 2.0, 1.0, -1.0], [0.0, 0.1, 0.0, 0.0, 3.0, 0.0]], dtype=DOUBLE)

OPERATORS = {
    "plain": ShotEncoding(maps, moving, shots),
    "mask": ShotEncoding(maps, moving, shots, mask),
    "mask of rows and columns": ShotEncoding(maps, moving, shots, mask.expand(R, N).contiguous()),
    "unpadded": ShotEncoding(maps, moving, shots, mask, padding=1),
    "all at rest": ShotEncoding(maps, torch.zeros(3, 3, dtype=DOUBLE), shots, mask),
    "batch of motions": ShotEncoding(maps, torch.stack([moving, -moving]), shots),
    "two map sets": ShotEncoding(random_complex(2, C, R, N), moving, shots, mask, sets=2),
    "3-D": ShotEncoding(random_complex(2, 2, 3, 4), in_3d, (0, 1, 1, 0), ndim=3),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_battery(name: str) -> None:
    check_operator(OPERATORS[name], second_derivatives=name in ("mask", "unpadded"))


@pytest.mark.parametrize("name", OPERATORS)
def test_it_equals_the_sum_of_compositions_that_it_stands_for(name: str) -> None:
    E = OPERATORS[name]
    assert isinstance(E.expression, Sum) and len(E.expression.terms) == E.motion.shape[-2]
    x = random_complex(*E.batch_shape, *E.domain_shape, seed=1)
    y = random_complex(*E.batch_shape, *E.range_shape, seed=2)
    torch.testing.assert_close(E(x), E.expression(x), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(E.H(y), E.expression.H(y), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(E.gram(x), E.expression.H(E.expression(x)), rtol=1e-11, atol=1e-11)


def test_shots_at_rest_are_one_term_unless_their_motion_is_sought() -> None:
    assert [isinstance(term, Encoding) for term in OPERATORS["plain"].terms] == [True, False, False]
    assert len(ShotEncoding(maps, moving.clone().requires_grad_(), shots).terms) == 3
    assert "3 shots, 2 moving" in repr(OPERATORS["plain"])


def test_without_motion_it_is_plain_sense() -> None:
    y = random_complex(C, R, N, seed=3)
    own = torch.tensor([shot >= 0 for shot in shots]).to(DOUBLE)
    plain = regularized_sense(Encoding(maps, mask * own), y, lam=3.0, tol=1e-10).image
    moved = regularized_sense(OPERATORS["all at rest"], y, lam=3.0, tol=1e-10).image
    assert torch.equal(plain, moved)


@pytest.mark.parametrize("padding", [1, PADDING])
def test_known_motion_is_undone(padding: float) -> None:
    rows, columns = (torch.arange(n, dtype=DOUBLE) - n // 2 for n in (24, 24))
    image = torch.exp(-(rows[:, None] ** 2 / 18 + (columns - 2) ** 2 / 30)).to(torch.complex128)
    smooth = torch.stack(
        [
            torch.exp(-((rows[:, None] - 9 * math.cos(a)) ** 2 + (columns - 9 * math.sin(a)) ** 2) / 200)
            for a in range(6)
        ]
    ).to(torch.complex128)
    coils = smooth / smooth.abs().square().sum(0).sqrt()
    motion = torch.tensor([[0, 0, 0], [1.5, -1, 5], [-1, 2, -4], [0.5, 0.5, 2]], dtype=DOUBLE)
    E = ShotEncoding(coils, motion, [c % 4 for c in range(24)], padding=padding)
    y = E.expression(image)
    found = regularized_sense(E, y, lam=math.inf, tol=1e-10, max_iter=2000).image
    assert float((found - image).norm()) < 1e-4 * float(image.norm())
    blind = regularized_sense(Encoding(coils), y, lam=math.inf, tol=1e-10).image
    assert float((blind - image).norm()) > 0.05 * float(image.norm())


def test_gradients_of_a_solve_reach_the_motion() -> None:
    y = random_complex(C, R, N, seed=5)

    def loss(motion: Tensor) -> Tensor:
        solution = regularized_sense(ShotEncoding(maps, motion, shots), y, lam=1.0, tol=1e-12)
        return solution.image.abs().square().sum()

    assert torch.autograd.gradcheck(loss, (moving.clone().requires_grad_(),), fast_mode=True)


class Halve(nn.Module):
    """A prior."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


def test_a_cascade_runs_and_trains_with_it() -> None:
    y = random_complex(C, R, N, seed=6)
    model = UnrolledSENSE(Halve(), iterations=2).double()
    with torch.no_grad():
        fused = model(OPERATORS["mask"], y).image
        spelled_out = model(OPERATORS["mask"].expression, y).image
    torch.testing.assert_close(fused, spelled_out, rtol=1e-2, atol=1e-2)
    motion = moving.clone().requires_grad_()
    model(ShotEncoding(maps, motion, shots), y).image.abs().sum().backward()
    assert motion.grad is not None and bool(motion.grad.any())


def test_wrong_arguments() -> None:
    with pytest.raises(ShapeError, match="5 shots named for 6 columns"):
        ShotEncoding(maps, moving, shots[:5])
    with pytest.raises(ShapeError, match=r"expected \(\*batch, shots, 3\)"):
        ShotEncoding(maps, in_3d, shots)
    with pytest.raises(ShapeError, match="columns name shots -1 to 3, but motion has 3"):
        ShotEncoding(maps, moving, (0, 1, 2, 3, 1, -1))
    with pytest.raises(ShapeError, match="axis -1 of the mask"):
        ShotEncoding(maps, moving, shots, mask[:5])
    with pytest.raises(ShapeError, match="no whole numbers"):
        ShotEncoding(maps, moving, tuple(shot + 0.5 for shot in shots))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="motion is not finite"):
        ShotEncoding(maps, moving * math.nan, shots)
    with pytest.raises(ShapeError, match=r"motion is torch\.complex128"):
        ShotEncoding(maps, moving + 0j, shots)


def test_motion_that_is_changed_in_place_counts_at_once() -> None:
    """An optimizer's step, then an evaluation without a graph."""
    motion, x = moving.clone().requires_grad_(), random_complex(R, N, seed=1)
    E = ShotEncoding(maps, motion, shots)
    with torch.no_grad():
        before = E(x)
        motion[0] += 1.0
        after = E(x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, E(x).detach())
    torch.testing.assert_close(after, ShotEncoding(maps, motion.detach(), shots)(x))


def test_motion_of_another_precision_is_taken_in_that_of_the_maps() -> None:
    single, x = maps.to(torch.complex64), random_complex(R, N, seed=1).to(torch.complex64)
    E = ShotEncoding(single, moving, shots)
    assert E(x).dtype == E.expression(x).dtype == torch.complex64
    torch.testing.assert_close(E(x), E.expression(x))
