"""What the implementations of a speed benchmark share: their inputs, and the timed call that they give back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACCELERATION",
    "ACS",
    "BATCH_BYTES",
    "BATCH_SLICES",
    "CASCADES",
    "CHANNELS",
    "CROP",
    "ITERATIONS",
    "LAMBDA",
    "LEVELS",
    "RECORDED_CG",
    "WAVELET_WEIGHT",
    "Inputs",
    "MemoryTask",
    "NotInstalledError",
    "Task",
    "Timing",
    "penalty",
    "process_task",
    "run_quietly",
    "timed",
    "torch_task",
]

ACCELERATION = 4
ACS = 24
LAMBDA = 5.0
ITERATIONS = {"sense": 10, "sense-1e-4": 500, "sense-batch": 10, "wavelet": 50}
TOLERANCE = {"sense-1e-4": 1e-4}  # relative residual at which CG stops; of other cases none, they run all iterations
BATCH_SLICES, BATCH_BYTES = (
    8,
    200e6,
)  # a batch has at least so many slices, and so many bytes of maps: more than a cache
CASCADES, CHANNELS, LEVELS = 6, 18, 4  # of the training step: U-Nets, their features at full resolution, poolings
CROP = 256  # rows and columns of its images
RECORDED_CG = 10  # iterations of the CG that autograd records
WAVELET_WEIGHT = 0.01  # relative to the 99th percentile of |E^H y|


class NotInstalledError(Exception):
    """A peer is not on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Timing:
    """One call: how long it took, and the image where it gives one that can be compared."""

    seconds: float
    result: NDArray[np.complex64] | None = None


Task = Callable[[], Timing]


@runtime_checkable
class MemoryTask(Protocol):
    """A `Task` that knows better than the system how much memory it needs."""

    def __call__(self) -> Timing:
        """As any task."""
        ...

    def peak_bytes(self) -> int:
        """Memory of one call, in bytes."""
        ...


class Inputs:
    """Arrays of the benchmark, read from the folder of a run when first asked for.

    Parameters
    ----------
    folder : Path
        Where `kascade.benchmarks.speed_data` wrote them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _read(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy")
        return array

    @cached_property
    def image(self) -> NDArray[np.complex64]:
        """(rows, columns)."""
        return self._read("image")

    @cached_property
    def maps(self) -> NDArray[np.complex64]:
        """(coil, rows, columns), of unit norm in every pixel."""
        return self._read("maps")

    @cached_property
    def kspace(self) -> NDArray[np.complex64]:
        """(coil, rows, columns), undersampled by the mask of the case `sense`."""
        return self._read("kspace")

    @cached_property
    def slices(self) -> int:
        """Slices of a batch."""
        return max(BATCH_SLICES, ceil(BATCH_BYTES / self.maps.nbytes))

    def batch(self, array: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """A copy of `array`, (..., rows, columns), for each slice of a batch, turned by so many columns."""
        return np.stack([np.roll(array, shift, axis=-1) for shift in range(self.slices)])

    def mask(self, case: str) -> NDArray[np.float32]:
        """Float32 (rows, columns) for the case `gram-2d`, (columns,) for all others."""
        return self._read("mask_2d" if case == "gram-2d" else "mask_columns")


def penalty() -> float:
    """Weight of ||x||^2 in the SENSE case: Kascade's lambda in the convention of the peers."""
    return 1 / (4 * LAMBDA**2)


def timed(call: Callable[[], NDArray[np.complex64] | None]) -> Task:
    """Task that runs `call` under the wall clock."""

    def task() -> Timing:
        start = time.perf_counter()
        result = call()
        return Timing(time.perf_counter() - start, result)

    return task


def torch_task(call: Callable[[], Any], device: str, *, comparable: bool = True, slices: int = 1) -> Task:
    """Task that runs a torch `call` without a graph, waits for the device, and gives the image as a NumPy array.

    The time is that of one of its `slices`, the image the first of them.
    """
    import torch

    def task() -> Timing:
        with torch.no_grad():
            start = time.perf_counter()
            image = call()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - start
        first = image if slices == 1 else image[0]
        return Timing(seconds / slices, first.squeeze().cpu().numpy() if comparable else None)

    return task


def run_quietly(command: Sequence[str]) -> None:
    """Run a program to its end; raise with its last words if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-300:]}")


def process_task(command: Sequence[str]) -> Task:
    """Task that starts a program and waits for its end."""

    def call() -> None:
        run_quietly(command)

    return timed(call)
