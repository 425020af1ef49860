"""A Python process that does nothing but import torch: what starting Kascade is compared with."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version

from kascade.benchmarks.speed_task import Inputs, Task, process_task

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def version() -> str:
    """Version of torch."""
    return installed_version("torch")


def start(inputs: Inputs, case: str, device: str) -> Task:
    """`import torch`."""
    return process_task([sys.executable, "-c", "import torch"])


CASES = {"import": start, "help": start}
