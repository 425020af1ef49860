"""MRpro (PTB): PyTorch operators and solvers."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kascade.benchmarks.speed_task import ITERATIONS, Inputs, NotInstalledError, Task, penalty, torch_task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")
# MRpro imports torchvision for one of its phantoms, which is not used here, and torchvision only works with the build
# of torch that it was made for. Without a working one MRpro is imported with empty modules in its place.
TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


def version() -> str:
    """Version of MRpro."""
    try:
        return installed_version("mrpro")
    except PackageNotFoundError:
        raise NotInstalledError("not installed: pip install mrpro") from None


def _import() -> Any:
    try:
        import_module(TORCHVISION[-1])
    except (ImportError, RuntimeError):
        empty = {name: ModuleType(name) for name in TORCHVISION}
        for name, child in pairwise(TORCHVISION):
            setattr(empty[name], child.rpartition(".")[2], empty[child])
        sys.modules.update(empty)
        try:
            return import_module("mrpro")
        finally:
            for name in TORCHVISION:
                del sys.modules[name]
    return import_module("mrpro")


def _operators(inputs: Inputs, case: str, device: str) -> tuple[Any, Any]:
    """Masked Fourier transform of coil images, and its gram, in MRpro's axes (coil, z, rows, columns)."""
    import torch

    operators = _import().operators
    array = inputs.batch(inputs.maps) if case.endswith("-batch") else inputs.maps
    maps, mask = (torch.from_numpy(a).to(device) for a in (array, inputs.mask(case)))
    coils = operators.SensitivityOp(maps.unsqueeze(-3))
    fourier = operators.FastFourierOp(dim=(-2, -1))
    masking = operators.CartesianMaskingOp(mask.expand(1, *inputs.image.shape))
    spectrum = fourier @ coils
    return spectrum, spectrum.H @ masking @ spectrum


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """`SensitivityOp.H @ FastFourierOp.H @ CartesianMaskingOp @ FastFourierOp @ SensitivityOp`."""
    import torch

    _, normal = _operators(inputs, case, device)
    slices = inputs.slices if case == "gram-batch" else 1
    image = inputs.image if slices == 1 else inputs.batch(inputs.image)
    x = torch.from_numpy(image).to(device).unsqueeze(-3).unsqueeze(-3)
    return torch_task(lambda: normal(x)[0], device, slices=slices)


def sense(inputs: Inputs, case: str, device: str) -> Task:
    """`cg` on the normal equations, operators at hand."""
    import torch

    cg = _import().algorithms.optimizers.cg
    spectrum, normal = _operators(inputs, case, device)
    y = torch.from_numpy(inputs.kspace).to(device)[:, None]

    def call() -> Tensor:
        (b,) = spectrum.adjoint(y)
        image: Tensor = cg(normal + penalty(), b, max_iterations=ITERATIONS[case], tolerance=0.0)[0]
        return image

    return torch_task(call, device)


CASES = {"gram-columns": gram, "gram-2d": gram, "gram-batch": gram, "sense": sense}
