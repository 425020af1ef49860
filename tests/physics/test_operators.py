"""Every operator passes the battery; every simplification rule equals the plain expression."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ShapeError
from kascade.physics import (
    BlockDiagonal,
    Coils,
    Diagonal,
    Encoding,
    Fourier,
    Identity,
    LinearOperator,
    Sampling,
    Stack,
    Sum,
    ThickSlices,
)
from kascade.physics.operator import Composition
from kascade.physics.sampling import FourierFilter
from kascade.physics.sense_gram import SenseGram
from tests.battery import check_operator, dense_matrix, random_complex


def mask(*shape: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6).to(torch.float64)


C, R, N, D = 3, 4, 5, 2
maps = random_complex(C, R, N, seed=10)

OPERATORS: dict[str, LinearOperator] = {
    "identity": Identity((R, N)),
    "diagonal": Diagonal(random_complex(R, N), (R, N)),
    "diagonal, real": Diagonal(mask(R, N), (R, N)),
    "diagonal, batch": Diagonal(random_complex(2, R, N), (R, N)),
    "fourier": Fourier((C, R, N)),
    "fourier, 3-D": Fourier((D, R, N), ndim=3),
    "coils": Coils(maps),
    "coils, batch": Coils(random_complex(2, C, R, N)),
    "coils, two sets": Coils(random_complex(2, C, R, N), sets=2),
    "coils, 3-D": Coils(random_complex(C, D, R, N), ndim=3),
    "sampling, columns": Sampling(mask(N), (C, R, N)),
    "sampling, 2-D": Sampling(mask(R, N), (C, R, N)),
    "sampling, batch": Sampling(mask(2, 1, 1, N), (C, R, N)),
    "sampling, weights": Sampling(torch.linspace(0.1, 2, N, dtype=torch.float64), (C, R, N)),
    "filter": FourierFilter(torch.linspace(0.1, 2, N, dtype=torch.float64), (C, R, N)),
    "encoding, full": Encoding(maps),
    "encoding, columns": Encoding(maps, mask(N)),
    "encoding, rows": Encoding(maps, mask(1, R, 1)),
    "encoding, 2-D": Encoding(maps, mask(R, N)),
    "encoding, a mask for each coil": Encoding(maps, mask(C, R, N)),
    "encoding, batch of maps": Encoding(random_complex(2, C, R, N), mask(N)),
    "encoding, batch of masks": Encoding(maps, mask(2, 1, 1, N)),
    "encoding, two sets": Encoding(random_complex(2, C, R, N), mask(N), sets=2),
    "encoding, two sets, batch": Encoding(random_complex(2, 2, C, R, N), mask(2, 1, 1, N), sets=2),
    "encoding, 3-D, columns": Encoding(random_complex(C, D, R, N), mask(N), ndim=3),
    "encoding, 3-D, plane": Encoding(random_complex(C, D, R, N), mask(D, 1, N)[None], ndim=3),
    "composition": Sampling(mask(R, N), (R, N)) @ Fourier((R, N)) @ Diagonal(random_complex(R, N), (R, N)),
    "sum": Encoding(maps, mask(N)) + Encoding(maps, mask(N, seed=1)),
    "difference": Encoding(maps, mask(N)) - Encoding(maps, mask(N, seed=1)),
    "scaled": (2 - 1j) * Encoding(maps, mask(N)),
    "stack": Stack((Encoding(maps, mask(N)), Encoding(maps, mask(N, seed=1)))),
    "block diagonal": BlockDiagonal((Encoding(maps, mask(N)), Encoding(maps, mask(N, seed=1)))),
    "thick slices": ThickSlices.of((R, N), 2, axis=-2, dtype=torch.float64),
    "thick slices, 3-D": ThickSlices.of((D, R, 7), 3, profile="box", first=0.5, dtype=torch.float64),
    "thick slices, k-space": Sampling(mask(R, 2), (R, 2))
    @ Fourier((R, 2))
    @ ThickSlices.of((R, N), 3, profile="fermi", dtype=torch.float64),
    "adjoint": Encoding(maps, mask(N)).H,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_battery(name: str) -> None:
    check_operator(OPERATORS[name])


def test_fourier_is_the_centered_orthonormal_dft() -> None:
    k, n = (torch.arange(size, dtype=torch.float64) - size // 2 for size in (N, N))
    expected = torch.exp(-2j * torch.pi * k[:, None] * n / N) / N**0.5
    torch.testing.assert_close(dense_matrix(Fourier((1, N))), expected.to(torch.complex128))


# --- simplification: each rule gives the simpler type, and equals the plain expression ------------------------------


def test_identity_vanishes() -> None:
    A = Coils(maps)
    assert Identity(A.range_shape) @ A is A
    assert A @ Identity(A.domain_shape) is A


def test_unitary_pair_cancels_inside_an_expression() -> None:
    F, S, C_ = Fourier((C, R, N)), Sampling(mask(N), (C, R, N)), Coils(maps)
    assert isinstance(F.H @ F, Identity) and isinstance(F @ F.H, Identity) and isinstance(F.gram, Identity)
    A = (S @ F) @ (F.H @ C_)
    assert isinstance(A, Composition) and A.factors == (S, C_)
    assert not isinstance(S.H @ S, Identity)


def test_filter_transforms_only_where_the_weights_vary() -> None:
    assert FourierFilter(mask(N), (C, R, N)).axes == (-1,)
    assert FourierFilter(mask(R, N), (C, R, N)).axes == (-2, -1)
    assert FourierFilter(mask(2, 1, R, 1), (C, R, N)).axes == (-2,)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    coils=st.integers(1, 4),
    two_d=st.booleans(),
    seed=st.integers(0, 99),
)
def test_gram_of_any_size_equals_the_plain_expression(
    rows: int, columns: int, coils: int, two_d: bool, seed: int
) -> None:
    E = Encoding(random_complex(coils, rows, columns, seed=seed), mask(*((rows,) if two_d else ()), columns, seed=seed))
    assert isinstance(E.gram, SenseGram)
    x = random_complex(rows, columns, seed=seed + 1)
    torch.testing.assert_close(E.gram(x), E.H(E(x)), rtol=1e-11, atol=1e-11)


def test_encoding_equals_its_expression_and_prints_it() -> None:
    E = Encoding(maps, mask(N))
    plain = Sampling(mask(N), (C, R, N)) @ Fourier((C, R, N)) @ Coils(maps)
    x = random_complex(R, N)
    assert torch.equal(E(x), plain(x))
    assert repr(E) == "Sampling(3, 4, 5) @ Fourier(3, 4, 5) @ Coils(4, 5 -> 3, 4, 5)"


# --- errors ---------------------------------------------------------------------------------------------------------


def test_composition_of_unfit_operators_names_both_shapes_and_the_axis() -> None:
    with pytest.raises(ShapeError, match=r"Fourier.*Coils.*\(3, 4, 6\).*\(3, 4, 5\).*axis -1"):
        _ = Fourier((C, R, N + 1)) @ Coils(maps)


def test_mask_of_the_wrong_length() -> None:
    with pytest.raises(ShapeError, match=r"axis -1 of the mask has 6, expected 5"):
        Encoding(maps, mask(N + 1))


def test_real_maps_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"complex \(\*batch, coil, rows, columns\)"):
        Encoding(maps.real, mask(N))


def test_sets_must_match_the_set_axis() -> None:
    with pytest.raises(ShapeError, match="sets=2"):
        Encoding(random_complex(3, C, R, N), mask(N), sets=2)


def test_batches_that_do_not_broadcast() -> None:
    E = Encoding(random_complex(2, C, R, N), mask(N))
    with pytest.raises(ShapeError, match="do not broadcast"):
        E(random_complex(3, R, N))


def test_sum_of_unfit_operators() -> None:
    with pytest.raises(ShapeError, match="agree in domain and range"):
        Sum((Coils(maps), Fourier((R, N))))


def test_operators_are_immutable() -> None:
    E = Encoding(maps)
    with pytest.raises(AttributeError):
        E.maps = maps.clone()  # type: ignore[misc]
