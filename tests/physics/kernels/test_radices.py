"""How lines are cut up."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kascade.physics.kernels.radices import LARGEST_PRIME, LONGEST_LINE, SMALL, frequencies, radices, twiddles


def largest_prime(n: int) -> int:
    largest, p = 1, 2
    while n > 1:
        while n % p == 0:
            largest, n = p, n // p
        p += 1
    return largest


@given(st.integers(1, LONGEST_LINE))
def test_factors_of_any_length(n: int) -> None:
    factors = radices(n)
    if largest_prime(n) > LARGEST_PRIME:
        assert factors is None
        return
    assert factors is not None and len(factors) >= 2 and prod(factors) == n
    assert all(r <= SMALL or (r <= LARGEST_PRIME and largest_prime(r) == r) for r in factors)
    assert n // factors[0] <= 1024  # threads of a block


def test_lines_that_are_too_long_go_elsewhere() -> None:
    assert radices(LONGEST_LINE) is not None and radices(2 * LONGEST_LINE) is None


@pytest.mark.parametrize(
    ("n", "factors"), [(368, (16, 23)), (372, (12, 31)), (320, (8, 8, 5)), (31, (31, 1)), (1, (1, 1)), (16, (16, 1))]
)
def test_lengths_of_practice(n: int, factors: tuple[int, ...]) -> None:
    assert radices(n) == factors


@pytest.mark.parametrize("factors", [(2, 3), (4, 3, 5), (5, 1), (2, 2, 2, 3)])
def test_tables_are_those_of_a_decimation_in_frequency(factors: tuple[int, ...]) -> None:
    """Stage by stage in place, as the kernel does it, then put in order: the discrete Fourier transform."""
    n = prod(factors)
    x = torch.randn(n, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    data, table, length = x.reshape(1, n), twiddles(factors).to(torch.complex128), n
    for stage, r in enumerate(factors):
        data = torch.fft.fft(data.reshape(-1, r, length // r), dim=1)
        if stage < len(factors) - 1:
            data = data * table[:length].reshape(r, length // r)
            table, length = table[length:], length // r
    assert len(table) == 0
    spectrum = torch.fft.fft(x)
    torch.testing.assert_close(data.flatten(), spectrum[frequencies(factors)], rtol=1e-5, atol=1e-5)
