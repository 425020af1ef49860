"""The floor of E^H E: a copy that moves as many bytes as reading maps and image once and writing the image once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kascade.benchmarks.peers.fastmri_style import version
from kascade.benchmarks.speed_task import Inputs, Task, torch_task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CASES", "DEVICES", "moved_bytes", "version"]

DEVICES = ("cpu", "cuda")


def moved_bytes(coils: int, rows: int, columns: int) -> int:
    """Bytes of maps and of two images, complex64."""
    return 8 * (coils + 2) * rows * columns


def copy(inputs: Inputs, case: str, device: str) -> Task:
    """Half of the bytes are read, half are written."""
    import torch

    slices = inputs.slices if case == "gram-batch" else 1
    source = torch.zeros(slices, moved_bytes(*inputs.maps.shape) // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def call() -> Tensor:
        return target.copy_(source)

    return torch_task(call, device, comparable=False, slices=slices)


CASES = {"gram-columns": copy, "gram-batch": copy}
