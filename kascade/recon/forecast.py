"""What a reconstruction will need, before it starts; and what to say when a device has too little memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kascade.data import Scan
from kascade.errors import KascadeError
from kascade.recon.method import get_method
from kascade.recon.motion import acquired_shots
from kascade.recon.plan import Plan
from kascade.recon.prepare import prepare_scan
from kascade.recon.setup import Setup

__all__ = ["Forecast", "forecast", "free_memory", "plain_memory_errors", "slice_bytes"]

# Counted on the CPU with `kascade.benchmarks.tensor_memory`, and rounded up.
COMPLEX64 = 8
IMAGES_OF_A_COIL = 4  # k-space, maps, and a copy of each on the way; maps once more for each further set
IMAGES_OF_A_SET = 20  # vectors of conjugate gradients, FISTA and ADMM
ESPIRIT_WINDOW = 6 * 6
ESPIRIT_MATRICES = 10  # of (window x coils) squared: covariance, eigenvectors, and what computes them


@dataclass(frozen=True)
class Forecast:
    """What would be done to one file.

    Attributes
    ----------
    path : Path
        The file.
    slices, coils : int
        How many.
    matrix : tuple of int
        Rows and columns, after readout oversampling was removed.
    sampling, method : str
        In words.
    slice_bytes : int
        Estimate of the memory that one slice needs on the device, without the networks of a trained model.
    """

    path: Path
    slices: int
    coils: int
    matrix: tuple[int, int]
    sampling: str
    method: str
    slice_bytes: int

    def cells(self) -> tuple[str, ...]:
        """A line of a table."""
        matrix, memory = " x ".join(map(str, self.matrix)), _size(self.slice_bytes)
        memory += " and the network's" if self.method == "unrolled" else ""
        return self.path.name, str(self.slices), str(self.coils), matrix, self.sampling, self.method, memory


def forecast(path: str | os.PathLike[str], plan: Plan) -> Forecast:
    """Open a file, but reconstruct nothing.

    Raises
    ------
    KascadeError
        If the file cannot be read, names no shots where motion is asked for, or the method or its options are wrong.
    """
    method: Any = get_method(plan.method, **plan.method_options())
    scan, sampling = prepare_scan(path, plan.undersampling, plan.keep_oversampling, plan.maps, plan.axes)
    if method.setup.motion != "none":
        acquired_shots(scan, scan.mask)
    needed = slice_bytes(scan, method.setup)
    return Forecast(Path(path), len(scan), scan.kspace.shape[1], scan.matrix, sampling, plan.method, needed)


def slice_bytes(scan: Scan, setup: Setup) -> int:
    """Estimate of the memory of one slice in bytes; rather too much than too little."""
    _, coils, rows, columns = scan.kspace.shape
    used = min(coils, setup.virtual_coils or coils)
    raw = 0 if setup.virtual_coils is None else IMAGES_OF_A_COIL * coils
    images = raw + coils + used * (IMAGES_OF_A_COIL + setup.sets - 1) + IMAGES_OF_A_SET * setup.sets
    calibration = 0 if scan.maps is not None else ESPIRIT_MATRICES * (ESPIRIT_WINDOW * used) ** 2
    return COMPLEX64 * (images * rows * columns + calibration)


def free_memory(plan: Plan) -> str:
    """How much memory the plan's device has left, as a sentence."""
    device = torch.device(plan.options.get("device", "cpu"))
    if device.type != "cuda":
        return "nothing was written"
    free, total = torch.cuda.mem_get_info(device)
    return f"{device} has {_size(free)} of {_size(total)} free; nothing was written"


@contextmanager
def plain_memory_errors(scan: Scan, setup: Setup) -> Iterator[None]:
    """Say what was needed, and what to reduce, where a device runs out of memory.

    Raises
    ------
    KascadeError
        In place of torch's OutOfMemoryError.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        needed = _size(slice_bytes(scan, setup))
        raise KascadeError(
            f"{setup.device} is out of memory: {scan.kspace.shape[1]} coils x {scan.matrix[0]} x {scan.matrix[1]} with "
            f"{setup.sets} map set(s) need about {needed}, and a trained model its network's besides; use fewer "
            "--virtual-coils, one map set, no --keep-oversampling, close what else uses the device, or --device cpu"
        ) from None


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"
