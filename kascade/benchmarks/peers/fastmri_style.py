"""E^H E as the fastMRI code base writes it: all coils at once, with shifts around every 2-D transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kascade.benchmarks.speed_task import Inputs, Task, torch_task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def version() -> str:
    """Version of torch, which does the work."""
    import torch

    return f"torch {torch.__version__}"


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """Expand by the maps, transform, mask, transform back, combine."""
    import torch

    slices = inputs.slices if case == "gram-batch" else 1
    arrays = (inputs.maps, inputs.image) if slices == 1 else (inputs.batch(inputs.maps), inputs.batch(inputs.image))
    maps, x, mask = (torch.from_numpy(a).to(device) for a in (*arrays, inputs.mask(case)))
    x = x.unsqueeze(-3)
    axes = (-2, -1)

    def call() -> Tensor:
        shifted = torch.fft.ifftshift(maps * x, dim=axes)
        kspace = mask * torch.fft.fftshift(torch.fft.fftn(shifted, dim=axes, norm="ortho"), dim=axes)
        shifted = torch.fft.ifftshift(kspace, dim=axes)
        coil_images = torch.fft.fftshift(torch.fft.ifftn(shifted, dim=axes, norm="ortho"), dim=axes)
        return torch.sum(maps.conj() * coil_images, dim=-3)

    return torch_task(call, device, slices=slices)


CASES = {"gram-columns": gram, "gram-2d": gram, "gram-batch": gram}
