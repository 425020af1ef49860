"""E^H E by kernels: the CUDA sources, compiled for the CPU, against the operator in double precision."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kascade.physics import Encoding
from kascade.physics.kernels import gram as module
from kascade.physics.kernels import launch
from kascade.physics.kernels.gram import FilteredGram, FusedGram, gram_by_kernels
from kascade.physics.kernels.launch import Kernel
from tests.battery import inner, random_complex
from tests.physics.kernels import emulator as emulation
from tests.physics.kernels.emulator import BACKWARDS, FORWARDS, SHUFFLED, Emulator

SINGLE = torch.complex64
ORDERS = (FORWARDS, BACKWARDS, SHUFFLED)


def random_mask(*shape: int, seed: int = 0) -> Tensor:
    """Weights between 0 and 1, a third of them 0."""
    values = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.where(values < 1 / 3, 0, values)


def check(emulator: Emulator, E: Encoding, kernels: list[str], batch: tuple[int, ...] = ()) -> None:
    """The gram in single precision, by `kernels`, equals that in double to 1e-6, however threads take turns."""
    x = random_complex(*batch, *E.batch_shape, *E.domain_shape, seed=1)
    expected = E.gram(x)
    assert not emulator.started
    single = E.to(SINGLE).gram
    results = []
    for emulator.order in ORDERS:
        results.append(single(x.to(SINGLE)))
    assert emulator.started == kernels * len(ORDERS)
    assert results[0].dtype == SINGLE and results[0].shape == expected.shape
    assert all(torch.equal(result, results[0]) for result in results)
    assert float((results[0] - expected).norm()) < 1e-6 * float(expected.norm())


@pytest.mark.parametrize(
    ("coils", "rows", "columns"),
    [
        (15, 3, 368),  # 16 x 23, three rounds of five coils
        (7, 2, 372),  # 12 x 31
        (4, 1, 512),  # even innermost: padded shared memory
        (3, 2, 420),  # three stages
        (32, 3, 64),
        (1, 4, 45),
        (5, 2, 31),  # a prime
        (2, 3, 1),
    ],
)
def test_lines_in_one_launch(emulator: Emulator, coils: int, rows: int, columns: int) -> None:
    E = Encoding(random_complex(coils, rows, columns), random_mask(columns))
    assert isinstance(gram_by_kernels(E.maps, E.mask, 2, None), FusedGram)
    check(emulator, E, ["gram"])


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(coils=st.integers(1, 33), rows=st.integers(1, 3), columns=st.integers(1, 400), sets=st.integers(1, 3))
def test_lines_of_any_length(emulator: Emulator, coils: int, rows: int, columns: int, sets: int) -> None:
    emulator.started.clear()
    E = Encoding(random_complex(sets, coils, rows, columns), random_mask(columns), sets=sets)
    fused = isinstance(gram_by_kernels(E.maps, E.mask, 2, sets), FusedGram)
    check(emulator, E, ["gram"] if fused else ["expand", "weigh", "combine"])


@pytest.mark.parametrize("columns", [37, 4098, 2 * 193])
def test_long_lines_and_large_primes_go_to_cufft(emulator: Emulator, columns: int) -> None:
    E = Encoding(random_complex(2, 2, columns), random_mask(columns))
    assert isinstance(gram_by_kernels(E.maps, E.mask, 2, None), FilteredGram)
    check(emulator, E, ["expand", "weigh", "combine"])


@pytest.mark.parametrize(
    ("mask", "ndim", "sets", "shape", "kernels"),
    [
        ((12,), 2, 2, (2, 3, 5, 12), ["gram"]),  # two map sets
        ((12,), 3, None, (3, 2, 5, 12), ["gram"]),  # a volume, lines along its last axis
        ((12,), 3, 2, (2, 3, 2, 5, 12), ["gram"]),
        ((5, 12), 2, None, (3, 5, 12), ["expand", "weigh", "combine"]),  # a 2-D mask
        ((5, 12), 2, 2, (2, 3, 5, 12), ["expand", "weigh", "combine"]),
        ((1, 5, 1), 2, None, (3, 5, 12), ["expand", "weigh", "combine"]),  # along rows only
        ((7, 9), 3, None, (3, 2, 7, 9), ["expand", "weigh", "combine"]),
        ((4, 5, 12), 3, 2, (2, 3, 4, 5, 12), ["expand", "weigh", "combine"]),
        ((1, 4, 1, 12), 3, None, (3, 4, 5, 12), ["expand", "weigh", "combine"]),  # constant along the axis between
    ],
)
def test_masks_of_all_kinds(
    emulator: Emulator, mask: tuple[int, ...], ndim: int, sets: int | None, shape: tuple[int, ...], kernels: list[str]
) -> None:
    check(emulator, Encoding(random_complex(*shape), random_mask(*mask), ndim=ndim, sets=sets), kernels)


@pytest.mark.parametrize(
    ("maps", "mask", "batch"),
    [
        ((), (), (3,)),  # one operator for a batch of images
        ((3,), (), ()),  # maps of their own
        ((3,), (3,), (2,)),  # more images than operators
        ((), (3,), ()),
        ((2, 1), (3,), ()),  # batches that broadcast against each other
    ],
)
@pytest.mark.parametrize("rows", [1, 5])  # of the mask: constant along the readout or not
def test_batches(
    emulator: Emulator, maps: tuple[int, ...], mask: tuple[int, ...], batch: tuple[int, ...], rows: int
) -> None:
    weights = random_mask(*mask, 1, rows, 12) if mask else random_mask(rows, 12) if rows > 1 else random_mask(12)
    E = Encoding(random_complex(*maps, 3, 5, 12), weights)
    kernels = ["gram"] if rows == 1 else ["expand", "weigh", "combine"]
    check(emulator, E, kernels, batch)


def test_an_empty_batch(emulator: Emulator) -> None:
    for weights in (torch.ones(6), torch.ones(4, 6)):
        gram = gram_by_kernels(random_complex(3, 4, 6, dtype=SINGLE), weights, 2, None)
        assert gram(torch.zeros(0, 4, 6, dtype=SINGLE)).shape == (0, 4, 6)


def test_without_a_mask(emulator: Emulator) -> None:
    maps, x = random_complex(3, 4, 6), random_complex(4, 6, seed=1)
    expected = maps.abs().square().sum(0) * x
    for weights in (torch.ones(6), torch.ones(4, 6)):
        result = gram_by_kernels(maps.to(SINGLE), weights, 2, None)(x.to(SINGLE))
        torch.testing.assert_close(result, expected.to(SINGLE), rtol=1e-5, atol=1e-6)


def test_it_is_hermitian(emulator: Emulator) -> None:
    E = Encoding(random_complex(4, 3, 20, dtype=SINGLE), random_mask(20))
    x, y = (random_complex(3, 20, seed=s, dtype=SINGLE) for s in (1, 2))
    left, right = inner(E.gram(x), y), inner(x, E.gram(y))
    assert abs(left - right) < 1e-5 * abs(left) and emulator.started


def test_tensors_that_are_views(emulator: Emulator) -> None:
    """Transposed, cropped, expanded and lazily conjugated tensors are brought into order first."""
    maps, mask = random_complex(12, 5, 3, dtype=SINGLE).permute(2, 1, 0).conj(), random_mask(24)[::2].float()
    x = random_complex(12, 5, seed=1, dtype=SINGLE).T.conj()
    assert x.is_conj() and not maps.is_contiguous()
    plain = Encoding(maps.resolve_conj().contiguous(), mask.contiguous())
    assert torch.equal(Encoding(maps, mask).gram(x), plain.gram(x.resolve_conj().contiguous()))


def test_recorded_graphs_and_double_precision_stay_with_torch(emulator: Emulator) -> None:
    E = Encoding(random_complex(3, 4, 6, dtype=SINGLE), random_mask(6))
    x = random_complex(4, 6, dtype=SINGLE).requires_grad_()
    (gradient,) = torch.autograd.grad(E.gram(x), x, random_complex(4, 6, seed=2, dtype=SINGLE))
    E.to(torch.complex128).gram(random_complex(4, 6))
    assert not emulator.started
    assert torch.allclose(gradient, E.gram(random_complex(4, 6, seed=2, dtype=SINGLE)), rtol=1e-5, atol=1e-5)
    assert emulator.started == ["gram"]


def test_coils_go_in_smaller_blocks_when_memory_is_short(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    maps, weights, x = random_complex(7, 4, 6, dtype=SINGLE), random_mask(4, 6), random_complex(4, 6, dtype=SINGLE)
    gram = FilteredGram(maps, weights, 2, None)
    expected, fftn = gram(x), torch.fft.fftn

    def limited(t: Tensor, dim: tuple[int, ...]) -> Tensor:
        if t.shape[1] > 2:
            raise torch.OutOfMemoryError("no room for so many coils")
        return fftn(t, dim=dim)

    monkeypatch.setattr(torch.fft, "fftn", limited)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    torch.testing.assert_close(gram(x), expected)
    assert gram.together == 2
    emulator.started.clear()
    gram(x)
    assert emulator.started == ["expand", "weigh", "combine"] * 4  # it has learned: 2 + 2 + 2 + 1 coils

    def full(t: Tensor, dim: tuple[int, ...]) -> Tensor:
        raise torch.OutOfMemoryError("no room at all")

    monkeypatch.setattr(torch.fft, "fftn", full)
    with pytest.raises(torch.OutOfMemoryError, match="at all"):
        gram(x)


def test_large_batches_go_in_blocks_of_coils_from_the_start(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    E = Encoding(random_complex(5, 4, 6), random_mask(4, 6))
    monkeypatch.setattr(module, "COIL_SAMPLES", 3 * 2 * 24)
    check(emulator, E, ["expand", "weigh", "combine"] * 2, (2,))


@pytest.mark.parametrize("barrier", range(6))
def test_a_missing_barrier_would_be_found(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, barrier: int) -> None:
    """Without any one of the fused kernel's barriers the result depends on the order of the threads."""
    maps, x = random_complex(2, 2, 1, 420, dtype=SINGLE), random_complex(2, 1, 420, dtype=SINGLE)
    gram = FusedGram(maps, torch.ones(420), 2, 2)
    parts = launch.source(gram.kernel.sources).split("__syncthreads();")
    assert len(parts) == 7
    parts[barrier : barrier + 2] = [f"{parts[barrier]};{parts[barrier + 1]}"]
    monkeypatch.setattr(emulation, "source", lambda _: "__syncthreads();".join(parts))
    results = []
    for emulator.order in ORDERS:
        results.append(gram(x))
    assert not all(torch.equal(result, results[0]) for result in results)


def test_a_kernel_refuses_tensors_in_disorder() -> None:
    with pytest.raises(ValueError, match="argument 1 is not contiguous"):
        Kernel(("complex",), "nothing", 32)(1, torch.zeros(2), torch.zeros(2, 3).T)
    with pytest.raises(ValueError, match="argument 0 is not contiguous, or lazily"):
        Kernel(("complex",), "nothing", 32)(1, torch.zeros(2, dtype=SINGLE).conj())


@pytest.mark.parametrize(("coils", "columns"), [(15, 368), (1, 368), (32, 640), (8, 320), (33, 2), (3, 4096)])
def test_rounds_of_coils_are_even_and_fit_a_block(coils: int, columns: int) -> None:
    gram = FusedGram(torch.zeros(coils, 1, columns, dtype=SINGLE), torch.ones(columns), 2, None)
    constants = dict(gram.kernel.constants)
    groups, first = int(constants["GROUPS"]), int(constants["FIRST"])
    assert prod(map(int, str(constants["RADICES"]).split(","))) == columns
    assert groups * columns // first <= gram.kernel.threads <= 1024 and gram.kernel.shared_bytes <= 48 * 1024
    rounds = -(-coils // groups)
    assert rounds * groups - coils < rounds
