"""Rigid motion: the battery, and that it moves images as it says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics import RigidMotion
from tests.battery import check_operator, random_complex

DOUBLE = torch.float64


def blob(shape: tuple[int, ...], center: tuple[float, ...], widths: tuple[float, ...], turn: Tensor) -> Tensor:
    """Gaussian at `center` (from the middle pixel), its axes turned by the matrix `turn`."""
    axes = [torch.arange(n, dtype=DOUBLE) - n // 2 - c for n, c in zip(shape, center, strict=True)]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ turn  # in the frame of the object
    return torch.exp(-(place**2 / (2 * torch.tensor(widths, dtype=DOUBLE) ** 2)).sum(-1)).to(torch.complex128)


def turn_2d(degrees: float) -> Tensor:
    """Matrix on (row, column) that turns columns towards rows."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, s], [-s, c]], dtype=DOUBLE)


OPERATORS = {
    "2-D": RigidMotion(torch.tensor([0.7, -1.2, 8.0], dtype=DOUBLE), (5, 6)),
    "2-D, unpadded": RigidMotion(torch.tensor([0.7, -1.2, 8.0], dtype=DOUBLE), (5, 6), padding=1),
    "2-D, batch, map sets": RigidMotion(random_complex(2, 3).real.contiguous(), (2, 4, 3)),
    "2-D, a large turn": RigidMotion(torch.tensor([0.3, 0.1, 130.0], dtype=DOUBLE), (4, 4)),
    "3-D": RigidMotion(torch.tensor([0.4, -0.7, 1.1, 5.0, -8.0, 3.0], dtype=DOUBLE), (3, 4, 5), ndim=3),
    "3-D, unpadded": RigidMotion(
        torch.tensor([0.4, -0.7, 1.1, 5.0, -8.0, 3.0], dtype=DOUBLE), (2, 4, 3), ndim=3, padding=1
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_battery(name: str) -> None:
    check_operator(OPERATORS[name])


@pytest.mark.parametrize("degrees", [0, 4.5, -17, 60, 135])
@pytest.mark.parametrize("shape", [(64, 64), (61, 72)])
def test_an_image_moves_as_its_parameters_say(degrees: float, shape: tuple[int, int]) -> None:
    center, turn, shift = torch.tensor([4.0, -6.0], dtype=DOUBLE), turn_2d(degrees), torch.tensor([2.3, -1.6])
    image = blob(shape, (4, -6), (2.5, 4), turn_2d(0))
    moved = turn @ center + shift
    expected = blob(shape, (float(moved[0]), float(moved[1])), (2.5, 4), turn)
    result = RigidMotion(torch.tensor([2.3, -1.6, degrees], dtype=DOUBLE), shape)(image)
    assert float((result - expected).abs().max()) < 2e-4


def test_a_volume_turns_about_depth_then_rows_then_columns_and_moves() -> None:
    shape, shift, degrees = (32, 30, 36), (1.4, -0.8, 2.1), (9.0, -6.0, 5.0)
    turn = torch.eye(3, dtype=DOUBLE)
    for (u, v), angle in zip(((2, 1), (0, 2), (1, 0)), degrees, strict=True):
        step = torch.eye(3, dtype=DOUBLE)
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        step[u, u], step[u, v], step[v, u], step[v, v] = c, -s, s, c
        turn = step @ turn
    center = torch.tensor([2.0, -3.0, 4.0], dtype=DOUBLE)
    moved = turn @ center + torch.tensor(shift, dtype=DOUBLE)
    image = blob(shape, (2, -3, 4), (2, 2.5, 3), torch.eye(3, dtype=DOUBLE))
    expected = blob(shape, tuple(moved.tolist()), (2, 2.5, 3), turn)
    result = RigidMotion(torch.tensor([*shift, *degrees], dtype=DOUBLE), shape, ndim=3)(image)
    assert float((result - expected).abs().max()) < 1e-3


@settings(max_examples=20)
@given(
    rows=st.integers(3, 20),
    columns=st.integers(3, 20),
    shift=st.tuples(*[st.floats(-5, 5)] * 2),
    degrees=st.floats(-45, 45),
    seed=st.integers(0, 99),
)
def test_unpadded_it_is_unitary_and_padded_its_norm_is_at_most_one(
    rows: int, columns: int, shift: tuple[float, float], degrees: float, seed: int
) -> None:
    x = random_complex(rows, columns, seed=seed, dtype=torch.complex64)
    parameters = torch.tensor([*shift, degrees], dtype=torch.float32)
    T = RigidMotion(parameters, (rows, columns), padding=1)
    assert float((T.H(T(x)) - x).norm()) < 1e-6 * float(x.norm())
    assert float(T(x).norm()) == pytest.approx(float(x.norm()), rel=1e-6)
    assert float(RigidMotion(parameters, (rows, columns))(x).norm()) <= float(x.norm()) * (1 + 1e-6)


def test_unpadded_pairs_cancel_in_expressions_and_padded_ones_do_not() -> None:
    unpadded, padded = OPERATORS["2-D, unpadded"], OPERATORS["2-D"]
    assert repr(unpadded.H @ unpadded) == "Identity(5, 6)"
    assert repr(padded.H @ padded) != "Identity(5, 6)"


def test_what_leaves_the_field_of_view_is_lost_with_padding_and_wraps_without() -> None:
    x = torch.zeros(16, 16, dtype=torch.complex128)
    x[8, 14] = 1
    far = torch.tensor([0.0, 4.0, 0.0], dtype=DOUBLE)
    assert float(RigidMotion(far, (16, 16))(x).norm()) < 1e-12
    assert float(RigidMotion(far, (16, 16), padding=1)(x)[8, 2].abs()) == pytest.approx(1)


def test_wrong_arguments() -> None:
    with pytest.raises(ShapeError, match=r"expected real \(\*batch, 3\)"):
        RigidMotion(torch.zeros(6), (4, 4))
    with pytest.raises(ShapeError, match=r"expected real \(\*batch, 6\)"):
        RigidMotion(torch.zeros(3), (4, 4, 4), ndim=3)
    with pytest.raises(ConfigError, match=r"padding is 0\.5"):
        RigidMotion(torch.zeros(3), (4, 4), padding=0.5)
    with pytest.raises(ConfigError, match="ndim=4"):
        RigidMotion(torch.zeros(3), (4, 4, 4, 4), ndim=4)
    with pytest.raises(ShapeError, match="expected 3 spatial axes"):
        RigidMotion(torch.zeros(6), (4, 4), ndim=3)
    with pytest.raises(ShapeError, match="expected one or more"):
        RigidMotion(torch.zeros(0, 3), (4, 4))
    with pytest.raises(ShapeError, match="not finite"):
        RigidMotion(torch.full((3,), torch.inf), (4, 4))
    with pytest.raises(ShapeError, match=r"torch\.float16; expected float32"):
        RigidMotion(torch.zeros(3, dtype=torch.float16), (4, 4))


def test_images_keep_their_precision() -> None:
    x = random_complex(4, 6).to(torch.complex64)
    T = RigidMotion(torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64), (4, 6))
    assert T(x).dtype == T.H(x).dtype == torch.complex64
