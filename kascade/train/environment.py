"""What a training ran on: versions, machine, source."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kascade import __version__

__all__ = ["environment", "machine"]

PACKAGES = ("torch", "numpy", "pytorch-lightning", "torchmetrics", "safetensors", "scipy", "sigpy")


def environment(seed: int) -> dict[str, Any]:
    """Versions of what decides the result, the machine, the commit of Kascade's source where it is a checkout."""
    return {
        "kascade": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": machine(),
        "packages": {name: _version(name) for name in PACKAGES},
        "seed": seed,
    }


def machine() -> str:
    """Processor and, where torch sees them, CUDA devices."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    processor = f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}"
    return ", ".join([*devices, processor])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None
