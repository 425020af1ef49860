"""The training step of the speed benchmark: its problem, its networks, and the step that all implementations share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kascade.benchmarks.speed_task import ACCELERATION, ACS, CASCADES, CHANNELS, CROP, LEVELS, Inputs, Timing
from kascade.benchmarks.tensor_memory import peak_tensor_bytes
from kascade.data.masks import uniform_mask
from kascade.nets.unet import UNet
from kascade.physics import Encoding
from kascade.unroll import UnrolledSENSE, as_prior

__all__ = ["Problem", "TrainingStep", "cascade", "problem"]

NOISE = 0.01


@dataclass(frozen=True)
class Problem:
    """What one step is given: the central part of the benchmark's scan.

    Attributes
    ----------
    maps : Tensor
        Complex64 (coil, rows, columns).
    mask : Tensor
        Float32 (columns,).
    y : Tensor
        Complex64 (coil, rows, columns), undersampled.
    target : Tensor
        Complex64 (rows, columns).
    """

    maps: Tensor
    mask: Tensor
    y: Tensor
    target: Tensor


def problem(inputs: Inputs, device: str) -> Problem:
    """Crop image and maps to at most `CROP` x `CROP` and measure again."""
    rows, columns = inputs.image.shape
    top, left = max(rows - CROP, 0) // 2, max(columns - CROP, 0) // 2
    crop = (..., slice(top, top + CROP), slice(left, left + CROP))
    target, maps = (torch.from_numpy(array)[crop].contiguous() for array in (inputs.image, inputs.maps))
    mask = uniform_mask(target.shape[-1], ACCELERATION, min(ACS, target.shape[-1]))
    generator = torch.Generator().manual_seed(0)
    noise = NOISE * torch.randn(maps.shape, dtype=maps.dtype, generator=generator)
    y = mask * (Encoding(maps)(target) + noise)
    return Problem(*(tensor.to(device) for tensor in (maps, mask, y, target)))


def cascade(device: str) -> UnrolledSENSE:
    """Our cascade: a U-Net for each iteration, learned lambdas that start between 6 and 1; the same weights for all."""
    torch.manual_seed(0)
    priors = []
    for _ in range(CASCADES):
        network = UNet(channels=CHANNELS, levels=LEVELS)
        nn.init.normal_(network.last.weight, std=0.01)  # they start at zero: half of the step would be for nothing
        priors.append(as_prior(network))
    return UnrolledSENSE(priors, CASCADES, lam="learned").to(device)


class TrainingStep:
    """Task: forward and backward pass with an L1 loss of the magnitude, without the optimizer.

    Parameters
    ----------
    model : nn.Module
        Whose gradients are computed.
    reconstruct : callable
        Gives the image, (rows, columns), complex or magnitude.
    target : Tensor
        (rows, columns).
    device : {"cpu", "cuda"}
        Where all that is.
    comparable : bool
        Whether the image is to be compared with Kascade's.
    """

    def __init__(
        self, model: nn.Module, reconstruct: Callable[[], Tensor], target: Tensor, device: str, comparable: bool = True
    ) -> None:
        self.model, self.reconstruct, self.device, self.comparable = model.train(), reconstruct, device, comparable
        self.magnitude = target.abs()

    def step(self) -> Tensor:
        """One step; gives the image."""
        self.model.zero_grad(set_to_none=True)
        image = self.reconstruct()
        (image.abs() - self.magnitude).abs().mean().backward()
        return image.detach()

    def __call__(self) -> Timing:
        """One step under the wall clock."""
        start = time.perf_counter()
        image = self.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        return Timing(seconds, image.cpu().numpy() if self.comparable else None)

    def peak_bytes(self) -> int:
        """Largest sum of the tensors that one step makes, gradients of the weights included."""
        self.model.zero_grad(set_to_none=True)
        return peak_tensor_bytes(self.step, self.device)
