"""Kascade without its CUDA kernels: torch's own CUDA path, which is used where CuPy is missing."""

from __future__ import annotations

from collections.abc import Callable

from kascade.benchmarks import speed_ours
from kascade.benchmarks.speed_ours import version
from kascade.benchmarks.speed_task import Inputs, Task

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cuda",)


def _switched_off(make: Callable[[Inputs, str, str], Task]) -> Callable[[Inputs, str, str], Task]:
    def task(inputs: Inputs, case: str, device: str) -> Task:
        from kascade.physics import kernels

        kernels.use_kernels(False)  # this process measures nothing else
        return make(inputs, case, device)

    return task


NAMES = (
    "gram-columns",
    "gram-2d",
    "gram-batch",
    "sense",
    "sense-1e-4",
    "sense-batch",
    "dc-batch",
    "cascade",
    "train-step",
)
CASES = {name: _switched_off(speed_ours.CASES[name]) for name in NAMES}
