"""The coil-by-coil E.H equals the plain expression, for every layout of maps and mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.physics import Encoding
from kascade.physics.sense_adjoint import sense_adjoint
from tests.battery import random_complex


def random_mask(*shape: int, seed: int = 0, fraction: float = 0.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator) < fraction) * torch.rand(*shape, generator=generator).double()


def check(E: Encoding, *batch: int, seed: int = 0) -> None:
    y = random_complex(*(batch or E.batch_shape), *E.range_shape, seed=seed + 1)
    fast = sense_adjoint(E.maps, E.mask, y, E.ndim, E.sets)
    torch.testing.assert_close(fast, E.expression.H(y), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    coils=st.integers(1, 4),
    layout=st.sampled_from(["none", "columns", "rows", "plane", "coils"]),
    fraction=st.sampled_from([0.0, 0.3, 1.1]),
    seed=st.integers(0, 999),
)
def test_any_size_and_mask(rows: int, columns: int, coils: int, layout: str, fraction: float, seed: int) -> None:
    shape = {"columns": (columns,), "rows": (1, rows, 1), "plane": (rows, columns), "coils": (coils, rows, columns)}
    mask = None if layout == "none" else random_mask(*shape[layout], seed=seed, fraction=fraction)
    check(Encoding(random_complex(coils, rows, columns, seed=seed), mask), seed=seed)


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
def test_batches_sets_and_volumes(batch: tuple[int, ...]) -> None:
    masks = random_mask(2, 1, 1, 7)
    full = (*batch[:-1], 2)
    check(Encoding(random_complex(3, 4, 7), random_mask(7)), *batch)
    check(Encoding(random_complex(3, 4, 7), masks), *full)
    check(Encoding(random_complex(2, 3, 4, 7), masks), *full)
    check(Encoding(random_complex(2, 3, 4, 7), random_mask(7), sets=2), *batch)
    check(Encoding(random_complex(2, 2, 3, 4, 7), masks, sets=2), *full)
    check(Encoding(random_complex(3, 2, 5, 7), random_mask(7), ndim=3), *batch)
    check(Encoding(random_complex(3, 2, 5, 7), random_mask(2, 1, 7)[None], ndim=3), *batch)


def test_encoding_uses_it_and_leaves_its_inputs_alone() -> None:
    E = Encoding(random_complex(3, 4, 7), random_mask(7))
    y = random_complex(3, 4, 7, seed=1)
    before = [t.clone() for t in (y, *E.tensors())]
    image = E.H(y)
    assert torch.equal(image, sense_adjoint(E.maps, E.mask, y))
    assert all(torch.equal(a, b) for a, b in zip(before, (y, *E.tensors()), strict=True))


def test_a_graph_is_recorded_where_one_is_wanted() -> None:
    E = Encoding(random_complex(3, 4, 7).requires_grad_(), random_mask(7))
    y = random_complex(3, 4, 7, seed=1)
    assert E.H(y).requires_grad
    with torch.no_grad():
        assert not E.H(y).requires_grad


def test_single_precision_stays_single_and_accurate() -> None:
    E = Encoding(random_complex(3, 33, 101), random_mask(101))
    y = random_complex(3, 33, 101, seed=1)
    single = E.to(torch.complex64).H(y.to(torch.complex64))
    assert single.dtype == torch.complex64
    torch.testing.assert_close(single.to(torch.complex128), E.H(y), rtol=1e-5, atol=1e-6)
