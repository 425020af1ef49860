"""BART, the Berkeley Advanced Reconstruction Toolbox (Uecker et al.): whole program calls on files in memory."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.speed_task import (
    ACS,
    ITERATIONS,
    WAVELET_WEIGHT,
    Inputs,
    NotInstalledError,
    Task,
    Timing,
    penalty,
    run_quietly,
    timed,
)

__all__ = ["CASES", "DEVICES", "read_cfl", "version", "write_cfl"]

DEVICES = ("cpu",)
FEW, MANY = 10, 30  # iterations, for the time of one E^H E


def version() -> str:
    """Version that the program prints."""
    if shutil.which("bart") is None:
        raise NotInstalledError("the bart program is not on the PATH: apt-get install bart")
    return subprocess.run(["bart", "version"], capture_output=True, text=True, check=True).stdout.strip().lstrip("v")


def write_cfl(path: Path, array: NDArray[np.complex64]) -> str:
    """Write (coil, rows, columns) as BART's (columns, rows, 1, coil), in the same order of samples."""
    sizes = [*reversed(array.shape[-2:]), 1, *(array.shape[:1] if array.ndim == 3 else ())]
    array.tofile(path.with_suffix(".cfl"))
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, sizes)) + "\n")
    return str(path)


def read_cfl(path: Path, shape: Sequence[int]) -> NDArray[np.complex64]:
    """Read what BART wrote, as an array of this shape: BART's dimensions in reverse, those of size 1 left out."""
    return np.fromfile(path.with_suffix(".cfl"), np.complex64).reshape(shape)


def _files(inputs: Inputs, case: str, *names: str) -> tuple[list[str], Path]:
    """Folder of the case with the input files in it."""
    folder = inputs.folder / f"bart-{case}"
    folder.mkdir(exist_ok=True)
    return [write_cfl(folder / name, getattr(inputs, name)) for name in names], folder / "output"


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """One CG iteration of `bart pics -l2`: E^H E and four vector operations, without starting and reading."""
    files, output = _files(inputs, case, "kspace", "maps")
    mask = np.broadcast_to(inputs.mask(case), inputs.image.shape).astype(np.complex64)
    pattern = write_cfl(output.with_name("mask"), mask)

    def seconds(iterations: int) -> float:
        start = time.perf_counter()
        run_quietly(["bart", "pics", f"-i{iterations}", "-l2", "-r0.01", "-w1", "-p", pattern, *files, str(output)])
        return time.perf_counter() - start

    def task() -> Timing:
        few = seconds(FEW)
        return Timing((seconds(MANY) - few) / (MANY - FEW))

    return task


def sense(inputs: Inputs, case: str, device: str) -> Task:
    """`bart pics -l2`."""
    files, output = _files(inputs, case, "kspace", "maps")
    command = ["bart", "pics", f"-i{ITERATIONS[case]}", "-l2", f"-r{penalty()}", "-w1", *files, str(output)]

    def call() -> NDArray[np.complex64]:
        run_quietly(command)
        return read_cfl(output, inputs.image.shape)

    return timed(call)


def espirit(inputs: Inputs, case: str, device: str) -> Task:
    """`bart ecalib`, one set."""
    files, output = _files(inputs, case, "kspace")
    return timed(lambda: run_quietly(["bart", "ecalib", f"-r{ACS}", "-m1", *files, str(output)]))


def wavelet(inputs: Inputs, case: str, device: str) -> Task:
    """`bart pics -l1`, with its own scaling of the data."""
    files, output = _files(inputs, case, "kspace", "maps")
    command = ["bart", "pics", f"-i{ITERATIONS[case]}", "-l1", f"-r{WAVELET_WEIGHT}", *files, str(output)]
    return timed(lambda: run_quietly(command))


CASES = {"gram-columns": gram, "gram-2d": gram, "sense": sense, "espirit": espirit, "wavelet": wavelet}
