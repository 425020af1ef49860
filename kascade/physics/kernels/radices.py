"""How a line is cut up for the transforms of the fused kernel, and the tables that go with it."""

from __future__ import annotations

from functools import cache
from math import prod

import torch
from torch import Tensor

__all__ = ["LARGEST_PRIME", "LONGEST_LINE", "frequencies", "radices", "twiddles"]

LARGEST_PRIME = 31  # its transform fills the registers of a thread
LONGEST_LINE = 4096  # 34 kB of shared memory, of the 48 that every GPU gives without being asked
SMALL = 16  # products of small primes go up to this


@cache
def radices(n: int) -> tuple[int, ...] | None:
    """Factors of n, each the length of a transform in registers, outermost first; None where cuFFT must do it.

    As few as possible, since each costs a trip through shared memory. The outermost one is small, because a thread
    holds maps and sums of as many samples, and the innermost one odd where possible, so that threads use different
    banks.

    Parameters
    ----------
    n : int
        Samples of a line.

    Returns
    -------
    tuple of int or None
        At least two, of product n; None if n is longer than `LONGEST_LINE` or has a prime factor above `LARGEST_PRIME`.
    """
    if n > LONGEST_LINE:
        return None
    large, rest = [], n
    for prime in range(SMALL + 1, LARGEST_PRIME + 1):
        while rest % prime == 0 and all(prime % p for p in range(2, prime)):
            large.append(prime)
            rest //= prime
    small = _split(rest)
    if small is None:
        return None
    found = sorted([*small, *large], key=lambda r: (r > SMALL, r % 2, -r))
    return tuple(found) if len(found) > 1 else (*found, *(1,) * (2 - len(found)))


@cache
def _split(n: int) -> tuple[int, ...] | None:
    """Fewest factors of n that are at most `SMALL`; among those, of the smallest sum."""
    if n == 1:
        return ()
    divisors = [d for d in range(2, SMALL + 1) if n % d == 0]
    splits = [(d, *rest) for d in divisors if (rest := _split(n // d)) is not None]
    return min(splits, key=lambda split: (len(split), sum(split)), default=None)


def frequencies(factors: tuple[int, ...]) -> Tensor:
    """The frequency that lies at each place after a decimation in frequency in place: int64 (n,).

    With n = r1 r2 ... the place (q1, q2, ...), q1 slowest, holds the frequency q1 + r1 (q2 + r2 (...)).
    """
    n = prod(factors)
    axes = tuple(range(len(factors)))[::-1]
    return torch.arange(n).reshape(factors[::-1]).permute(axes).reshape(n)


def twiddles(factors: tuple[int, ...]) -> Tensor:
    """exp(-2 pi i k j / length) at k length / r + j, for all stages but the innermost in turn: complex64."""
    length, tables = prod(factors), []
    for r in factors[:-1]:
        turns = torch.outer(torch.arange(r), torch.arange(length // r)).to(torch.float64) / length
        tables.append(torch.polar(torch.ones_like(turns), -2 * torch.pi * turns).flatten())
        length //= r
    return torch.cat(tables).to(torch.complex64)
