"""Compile and launch the CUDA sources of this folder by CuPy, on torch's tensors and torch's current stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kascade.errors import MissingExtraError

__all__ = ["Kernel", "Status", "fit", "options", "source", "status", "use_kernels"]

STANDARD = "--std=c++17"
_wanted = True


@dataclass(frozen=True)
class Kernel:
    """A kernel, compiled when it is first called.

    Parameters
    ----------
    sources : tuple of str
        Names of the .cu files, put one after the other.
    name : str
        Of the kernel.
    threads : int
        Of a block; known to the source as THREADS.
    constants : tuple of (str, str or int)
        What else the source is compiled for.
    shared_bytes : int
        Dynamic shared memory of a block.
    """

    sources: tuple[str, ...]
    name: str
    threads: int
    constants: tuple[tuple[str, str | int], ...] = ()
    shared_bytes: int = 0

    def __call__(self, blocks: int, *arguments: Tensor | int) -> None:
        """Start `blocks` blocks; integers are passed as long long, tensors as pointers to their memory."""
        for position, argument in enumerate(arguments):
            if isinstance(argument, Tensor) and not (argument.is_contiguous() and not argument.is_conj()):
                raise ValueError(f"kernel {self.name}: argument {position} is not contiguous, or lazily conjugated")
        launch(self, blocks, arguments)


def source(sources: tuple[str, ...]) -> str:
    """CUDA C++ of several files."""
    folder = files(__package__)
    return "\n".join((folder / f"{name}.cu").read_text(encoding="utf-8") for name in sources)


def options(kernel: Kernel) -> tuple[str, ...]:
    """Options of the compiler."""
    constants = {"THREADS": kernel.threads, **dict(kernel.constants)}
    return (STANDARD, *(f"-D{name}={value}" for name, value in constants.items()))


@cache
def _compiled(kernel: Kernel) -> Any:
    import cupy

    return cupy.RawKernel(source(kernel.sources), kernel.name, options(kernel))


def launch(kernel: Kernel, blocks: int, arguments: tuple[Tensor | int, ...]) -> None:
    """Start a kernel on the current stream of the device of its first argument; nothing is copied or waited for."""
    import cupy

    device = next(a.device for a in arguments if isinstance(a, Tensor))
    values = tuple(np.uint64(a.data_ptr()) if isinstance(a, Tensor) else np.int64(a) for a in arguments)
    with cupy.cuda.Device(device.index), _stream(cupy, device):
        _compiled(kernel)((blocks,), (kernel.threads,), values, shared_mem=kernel.shared_bytes)


def _stream(cupy: Any, device: torch.device) -> Any:
    """Torch's current stream, for CuPy."""
    stream = torch.cuda.current_stream(device)
    if hasattr(cupy.cuda.Stream, "from_external") and hasattr(stream, "__cuda_stream__"):
        return cupy.cuda.Stream.from_external(stream)
    return cupy.cuda.ExternalStream(stream.cuda_stream, device.index)


# --- whether they are used ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Status:
    """Whether the kernels are in use, and in words: since when, or why not."""

    in_use: bool
    text: str


def use_kernels(wanted: bool) -> None:
    """Switch the kernels off, or on again where they work: to compare them with torch's own CUDA path."""
    global _wanted
    _wanted = wanted


def status() -> Status:
    """Whether the kernels are in use, or what is missing."""
    if not _wanted:
        return Status(False, "not in use: switched off")
    return _found()


@lru_cache(maxsize=1)
def _found() -> Status:
    """What this process found when it first looked; CuPy is tried on a line of two samples."""
    if not torch.cuda.is_available():
        return Status(False, "not in use: torch sees no CUDA device")
    try:
        import cupy
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return Status(False, f"not in use: {MissingExtraError('CuPy', 'gpu', 'their compiler')}")
        return Status(False, f"not in use: CuPy cannot be imported: {_first_line(error)}")
    try:
        _try_out()
    except Exception as error:  # whatever driver, compiler or CuPy raise: torch does the work then, and we say why
        return Status(False, f"not in use: CuPy {cupy.__version__} does not work here: {_first_line(error)}")
    return Status(True, f"in use, compiled by CuPy {cupy.__version__}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _try_out() -> None:
    """Run one kernel and look at its result."""
    from kascade.physics.kernels.gram import FusedGram

    maps, x = (torch.tensor([values], dtype=torch.complex64, device="cuda") for values in ([1j, 2], [1, 1j]))
    result = FusedGram(maps[None], torch.ones(2, device="cuda"), 2, None)(x).cpu()
    if not torch.allclose(result, torch.tensor([[1, 4j]], dtype=torch.complex64)):
        raise RuntimeError(f"a kernel computes {result.tolist()}, expected [[1, 4j]]")


def fit(*tensors: Tensor) -> bool:
    """Whether the kernels can take these tensors: complex64 (weights: real) on a GPU, where CuPy works."""
    return all(t.is_cuda and t.dtype == torch.complex64 for t in tensors) and status().in_use
