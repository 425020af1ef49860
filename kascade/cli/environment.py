"""What `kascade inspect --env` shows: versions, devices and optional packages, as asked for in a bug report."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from kascade import __version__

__all__ = ["environment"]

OPTIONAL = {
    "train": ("pytorch-lightning", "tensorboard"),
    "gpu": ("cupy-cuda13x",),
    "io": ("pydicom", "ismrmrd"),
    "fastmri": ("fastmri",),
    "benchmarks": ("mrpro",),
}
CORE = ("torch", "numpy", "scipy", "h5py", "sigpy", "PyWavelets", "scikit-image", "nibabel", "matplotlib")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def environment() -> list[tuple[str, str]]:
    """Names and values, in the order in which they are shown."""
    import torch

    from kascade.physics import kernels

    devices = [f"{torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    rows = [
        ("kascade", __version__),
        ("python", platform.python_version()),
        ("system", platform.platform()),
        ("processors", f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads"),
        ("CUDA devices", ", ".join(devices) or "none"),
        ("CUDA kernels", kernels.status().text),
        ("BART", shutil.which("bart") or "not installed"),
    ]
    rows += [(package, _version(package)) for package in CORE]
    rows += [
        (f"{package} [{extra}]", _version(package)) for extra, packages in OPTIONAL.items() for package in packages
    ]
    return rows
