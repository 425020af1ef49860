"""Layers of style-based generators: weights scaled at run time, so that all of them learn at one rate."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EqualizedConv2d", "EqualizedLinear", "PixelNorm", "blur_resample", "scaled_leaky_relu"]


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the variance of normal numbers."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class EqualizedLinear(nn.Module):
    """Linear layer whose weights have unit variance and are scaled to He's when they are used.

    Parameters
    ----------
    inputs, outputs : int
        Features.
    rate : float
        Learning rate relative to that of other layers (0.01 in mapping networks).
    bias : float
        First value of all biases.
    activate : bool
        Follow by `scaled_leaky_relu`.

    References
    ----------
    Karras et al., Progressive Growing of GANs, ICLR 2018; StyleGAN, CVPR 2019.
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate, self.scale, self.activate = rate, rate / math.sqrt(inputs), activate

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        x = F.linear(x, self.weight * self.scale, self.bias * self.rate)
        return scaled_leaky_relu(x) if self.activate else x


class EqualizedConv2d(nn.Module):
    """Convolution of odd kernel size whose weights are scaled to He's when they are used; biases begin at 0."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, rows, columns) to (batch, outputs, rows, columns)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class PixelNorm(nn.Module):
    """Divides the last axis by its RMS."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (..., features)."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-8)


def blur_resample(x: Tensor, up: bool = False) -> Tensor:
    """Halve, or with `up` double, rows and columns of (batch, channels, rows, columns) by the kernel [1 3 3 1].

    A constant stays constant: what lies over the edge is what lies at the edge.
    """
    kernel = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    plane = torch.outer(kernel, kernel) / 64
    channels = x.shape[1]
    weight = plane.expand(channels, 1, 4, 4)
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    if up:
        return F.conv_transpose2d(x, 4 * weight, stride=2, padding=3, groups=channels)
    return F.conv2d(x, weight, stride=2, groups=channels)
