"""The same cascade with conjugate gradients written in plain torch and recorded by autograd, as MoDL is often coded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kascade.benchmarks.peers.fastmri_style import version
from kascade.benchmarks.speed_task import RECORDED_CG, Inputs, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def train_step(inputs: Inputs, case: str, device: str) -> Task:
    """The networks and lambdas of Kascade's cascade; `RECORDED_CG` iterations of CG, all coils at once."""
    import torch

    from kascade.benchmarks.speed_training import TrainingStep, cascade, problem

    given, model = problem(inputs, device), cascade(device)
    log_lam = next(model.schedule.parameters())
    # Shifted once, so that no transform needs a shift: this is the quick way of writing it.
    axes = (-2, -1)
    maps = torch.fft.ifftshift(given.maps, dim=axes)
    mask = torch.fft.ifftshift(given.mask)
    y = torch.fft.ifftshift(given.y, dim=axes)

    def gram(x: Tensor) -> Tensor:
        kspace = mask * torch.fft.fftn(maps * x, dim=axes, norm="ortho")
        return torch.sum(maps.conj() * torch.fft.ifftn(kspace, dim=axes, norm="ortho"), dim=0)

    def call() -> Tensor:
        start = torch.sum(maps.conj() * torch.fft.ifftn(mask * y, dim=axes, norm="ortho"), dim=0)
        z = torch.zeros_like(start)
        for n, prior in enumerate(model.priors):
            a = 1 / (4 * log_lam[n].exp() ** 2)
            x = _conjugate_gradient(gram, a, start + a * z, z)
            z = torch.fft.ifftshift(prior(torch.fft.fftshift(x, dim=axes)), dim=axes)
        image: Tensor = torch.fft.fftshift(z, dim=axes)
        return image

    return TrainingStep(model, call, given.target, device)


def _conjugate_gradient(gram: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Solve (E^H E + a) x = b from the start x; every operation stands in the graph."""
    r = b - gram(x) - a * x
    p = r
    rr = r.abs().square().sum()
    for _ in range(RECORDED_CG):
        Ap = gram(p) + a * p
        alpha = rr / (p.conj() * Ap).real.sum()
        x = x + alpha * p
        r = r - alpha * Ap
        rr_next = r.abs().square().sum()
        p = r + (rr_next / rr) * p
        rr = rr_next
    return x


CASES = {"train-step": train_step}
