"""The CUDA sources compiled by g++ and run on the CPU, so that what they compute is tested without a GPU."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from kascade.physics.kernels.launch import Kernel, options, source

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
FAILURES = {1: "wrote beyond its shared memory", 2: "has a barrier that not all threads of a block reach"}
FORWARDS, BACKWARDS, SHUFFLED = 0, 1, 7  # orders in which the threads of a block take turns


class Emulator:
    """Takes the place of `kascade.physics.kernels.launch.launch`.

    Attributes
    ----------
    order : int
        In which order threads and blocks run.
    started : list of str
        Names of the kernels that were started.
    """

    def __init__(self) -> None:
        self.order = FORWARDS
        self.started: list[str] = []

    def __call__(self, kernel: Kernel, blocks: int, arguments: tuple[Tensor | int, ...]) -> None:
        assert all(a.is_contiguous() and not a.is_conj() for a in arguments if isinstance(a, Tensor))
        assert kernel.shared_bytes <= 48 * 1024 and 1 <= kernel.threads <= 1024 and 1 <= blocks < 2**31
        values = [ctypes.c_int64(a.data_ptr() if isinstance(a, Tensor) else a) for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        sizes = ctypes.c_size_t(kernel.shared_bytes), blocks, kernel.threads, self.order
        result = library(kernel, source(kernel.sources)).run_on_cpu(pointers, *sizes)
        assert result == 0, f"the kernel {kernel.name} {FAILURES[result]}"
        self.started.append(kernel.name)


@cache
def library(kernel: Kernel, text: str) -> Any:
    """Shared library with the function `run_on_cpu` for one kernel of the source `text`."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: it compiles the CUDA sources for the CPU")
    text = f'#include "{HEADER}"\n{text}\nRUN_ON_CPU({kernel.name})\n'
    name = hashlib.sha256(text.encode() + repr(kernel).encode()).hexdigest()[:20]
    path = _folder() / f"{name}.so"
    # -Bsymbolic: the C library has a function `advance`, too.
    flags = ["-O1", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function"]
    command = [compiler, *options(kernel), *flags, "-x", "c++", "-", "-o", str(path)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return ctypes.CDLL(str(path))


@lru_cache(maxsize=1)
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="kascade-kernels-")  # removed when the process ends
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
