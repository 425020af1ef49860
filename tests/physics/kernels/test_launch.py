"""Whether the kernels are in use, what is said where they are not, and how CuPy is called: with a CuPy of cardboard."""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from kascade.physics import Encoding, kernels
from kascade.physics.kernels import launch
from kascade.physics.kernels.gram import gram_by_kernels
from kascade.physics.kernels.launch import Kernel
from tests.battery import random_complex

SINGLE = torch.complex64


@pytest.fixture(autouse=True)
def nothing_found_yet() -> Iterator[None]:
    launch._found.cache_clear()
    launch._compiled.cache_clear()
    yield
    launch._found.cache_clear()
    launch._compiled.cache_clear()
    kernels.use_kernels(True)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("cupy")
    module.__version__ = "99.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert kernels.status() == kernels.Status(False, "not in use: torch sees no CUDA device")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, a_gpu: None) -> None:
    original = builtins.__import__

    def without_cupy(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'", name="cupy")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_cupy)
    status = kernels.status()
    assert not status.in_use and "pip install 'kascade[gpu]'" in status.text


def test_a_broken_cupy_is_told(monkeypatch: pytest.MonkeyPatch, a_gpu: None, cupy: ModuleType) -> None:
    def fail() -> None:
        raise RuntimeError("libnvrtc.so.13: cannot open\nand more")

    monkeypatch.setattr(launch, "_try_out", fail)
    assert kernels.status() == kernels.Status(
        False, "not in use: CuPy 99.0 does not work here: libnvrtc.so.13: cannot open"
    )


def test_in_use_and_switched_off(monkeypatch: pytest.MonkeyPatch, a_gpu: None, cupy: ModuleType) -> None:
    monkeypatch.setattr(launch, "_try_out", lambda: None)
    on_gpu = SimpleNamespace(is_cuda=True, dtype=SINGLE)
    assert kernels.status() == kernels.Status(True, "in use, compiled by CuPy 99.0")
    assert kernels.fit(on_gpu, on_gpu)  # type: ignore[arg-type]
    assert not kernels.fit(on_gpu, SimpleNamespace(is_cuda=True, dtype=torch.complex128))  # type: ignore[arg-type]
    assert not kernels.fit(on_gpu, torch.zeros(1, dtype=SINGLE))  # type: ignore[arg-type]
    kernels.use_kernels(False)
    assert not kernels.status().in_use and not kernels.fit(on_gpu)  # type: ignore[arg-type]
    kernels.use_kernels(True)
    assert kernels.status().in_use


def test_the_trial_looks_at_the_result(monkeypatch: pytest.MonkeyPatch, a_gpu: None, cupy: ModuleType) -> None:
    """A kernel that starts but computes nonsense is not used; one that is right is (here: on the CPU)."""
    from tests.physics.kernels.emulator import Emulator

    tensor, ones = torch.tensor, torch.ones
    monkeypatch.setattr(torch, "tensor", lambda *a, device=None, **more: tensor(*a, **more))
    monkeypatch.setattr(torch, "ones", lambda *a, device=None, **more: ones(*a, **more))
    monkeypatch.setattr(launch, "launch", Emulator())
    assert kernels.status().in_use
    launch._found.cache_clear()
    monkeypatch.setattr(launch, "launch", lambda kernel, blocks, arguments: arguments[4].fill_(7))
    status = kernels.status()
    assert not status.in_use and "a kernel computes [[(7+0j), (7+0j)]]" in status.text


@pytest.mark.parametrize("protocol", [True, False])
def test_cupy_is_given_pointers_and_the_current_stream_of_torch(
    monkeypatch: pytest.MonkeyPatch, cupy: Any, protocol: bool
) -> None:
    said: list[Any] = []

    @contextlib.contextmanager
    def entered(*what: Any) -> Iterator[None]:
        said.append(what)
        yield
        said.append("left")

    class RawKernel:
        def __init__(self, code: str, name: str, options: tuple[str, ...]) -> None:
            said.append(("compiled", name, options, "__global__" in code))

        def __call__(self, grid: Any, block: Any, arguments: Any, *, shared_mem: int) -> None:
            said.append(("started", grid, block, [int(a) for a in arguments], shared_mem))
            assert all(a.dtype.itemsize == 8 for a in arguments)

    stream = SimpleNamespace(cuda_stream=1234, **({"__cuda_stream__": lambda: (0, 1234)} if protocol else {}))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    cupy.RawKernel = RawKernel
    cupy.cuda = SimpleNamespace(
        Device=lambda index: entered("device", index),
        ExternalStream=lambda pointer, index: entered("external", pointer),
        Stream=SimpleNamespace(**({"from_external": lambda s: entered("from", s.cuda_stream)} if protocol else {})),
    )
    x, kernel = torch.zeros(3), Kernel(("complex", "cg"), "advance", 64, (("N", 5),), shared_bytes=80)
    for _ in range(2):
        kernel(7, x, -1)
    enter = [("device", None), ("from" if protocol else "external", 1234)]
    start = ("started", (7,), (64,), [x.data_ptr(), -1], 80)
    compiled = ("compiled", "advance", ("--std=c++17", "-DTHREADS=64", "-DN=5"), True)
    assert said == [*enter, compiled, start, "left", "left", *enter, start, "left", "left"]


# --- the real thing -------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda() -> torch.device:
    """A GPU on which CuPy works."""
    status = kernels.status()
    if not status.in_use:
        pytest.fail(f"the kernels are {status.text}")
    return torch.device("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("coils", [1, 15, 32])
@pytest.mark.parametrize(
    ("shape", "mask", "ndim", "sets"),
    [
        ((640, 368), (368,), 2, None),
        ((31, 37), (37,), 2, None),
        ((33, 45), (45,), 2, None),
        ((64, 64), (64, 64), 2, 2),
        ((64, 372), (372,), 2, 2),
        ((8, 20, 24), (20, 24), 3, None),
    ],
)
def test_gram_on_a_gpu(
    cuda: torch.device, coils: int, shape: tuple[int, ...], mask: tuple[int, ...], ndim: int, sets: int | None
) -> None:
    layout = (coils, *shape) if sets is None else (sets, coils, *shape)
    E = Encoding(random_complex(2, *layout), torch.rand(*mask).double(), ndim=ndim, sets=sets)
    x = random_complex(2, *E.domain_shape, seed=1)
    result = E.to(SINGLE).to(cuda).gram(x.to(SINGLE).to(cuda)).cpu()
    expected = E.gram(x)
    assert float((result - expected).norm()) < 1e-5 * float(expected.norm())


@pytest.mark.gpu
def test_sense_and_its_gradients_on_a_gpu(cuda: torch.device) -> None:
    from kascade.physics import regularized_sense
    from tests.physics.kernels.test_updates import sense_inputs

    def solve(*inputs: torch.Tensor, tol: float) -> tuple[torch.Tensor, ...]:
        inputs = tuple(t.detach().requires_grad_() for t in inputs)
        maps, mask, y, z, lam = inputs
        image = regularized_sense(Encoding(maps, mask), y, z, lam=lam, tol=tol).image
        return (image.detach(), *torch.autograd.grad(image.abs().square().sum(), inputs))

    inputs = sense_inputs((3,))
    single = [t.to(SINGLE if t.is_complex() else torch.float32).to(cuda) for t in inputs]
    for result, expected in zip(solve(*single, tol=1e-6), solve(*inputs, tol=1e-12), strict=True):
        assert float((result.cpu() - expected).norm()) < 1e-4 * float(expected.norm())


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 64])  # of the mask: the fused kernel, and cuFFT
def test_a_captured_graph_gives_the_same(cuda: torch.device, rows: int) -> None:
    maps = random_complex(8, 64, 96, dtype=SINGLE).to(cuda)
    gram = gram_by_kernels(
        maps, torch.rand(rows, 96, device=cuda) if rows > 1 else torch.rand(96, device=cuda), 2, None
    )
    x, other = (random_complex(64, 96, seed=s, dtype=SINGLE).to(cuda) for s in (1, 2))
    expected = gram(other)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        gram(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = gram(x)
    x.copy_(other)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(result, expected)
