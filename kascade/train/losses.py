"""What training minimizes: complex L1, squared and logarithmic error, and the structural similarity of magnitudes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["LossWeights", "image_loss", "l1_loss", "log_loss", "mse_loss", "ssim_loss"]


class LossWeights(Protocol):
    """Weights of the losses that are added."""

    @property
    def l1(self) -> float:
        """Of `l1_loss`."""

    @property
    def log(self) -> float:
        """Of `log_loss`."""

    @property
    def mse(self) -> float:
        """Of `mse_loss`."""

    @property
    def ssim(self) -> float:
        """Of `ssim_loss`."""

    @property
    def magnitude(self) -> bool:
        """Compare magnitudes, not complex numbers."""


def image_loss(image: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
    """Weighted sum of the losses.

    Parameters
    ----------
    image, target : Tensor
        Complex or real (batch, rows, columns).
    weights : LossWeights
        A loss of weight 0 is not computed.

    Returns
    -------
    Tensor
        (batch,). No amplitude matters; a target that is zero everywhere gives no NaN.
    """
    if weights.magnitude:
        image, target = image.abs(), target.abs()
    losses = ((weights.l1, l1_loss), (weights.log, log_loss), (weights.mse, mse_loss), (weights.ssim, ssim_loss))
    terms = [weight * loss(image, target) for weight, loss in losses if weight > 0]
    return torch.stack(terms).sum(0)


def l1_loss(image: Tensor, target: Tensor) -> Tensor:
    """Mean |image - target| over mean |target|, (batch,)."""
    return (image - target).abs().mean((-2, -1)) / _scale(target)


def mse_loss(image: Tensor, target: Tensor) -> Tensor:
    """Mean |image - target|^2 over the square of mean |target|, (batch,)."""
    return (image - target).abs().square().mean((-2, -1)) / _scale(target).square()


def log_loss(image: Tensor, target: Tensor) -> Tensor:
    """Logarithm of the root mean squared error relative to the root mean square of the target, (batch,).

    It is the negative PSNR up to factor and offset: halving the error counts the same for a clean and for a noisy scan,
    where the other losses look at the noisy ones. Below a relative error of 1e-4 nothing is gained any more.
    A target that is zero everywhere, to which no error is relative, costs nothing.
    """
    error = (image - target).abs().square().mean((-2, -1))
    power = target.abs().square().mean((-2, -1))
    loss = 0.5 * (error / torch.where(power > 0, power, 1) + 1e-8).log()
    return torch.where(power > 0, loss, 0)


def ssim_loss(image: Tensor, target: Tensor) -> Tensor:
    """One minus the structural similarity of magnitudes, (batch,): Gaussian window of 1.5 px, range the target's peak.

    Wang et al., IEEE TIP 13:600 (2004), as in torchmetrics.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    truth = target.abs()
    peak = truth.amax((-2, -1), keepdim=True)
    peak = torch.where(peak > 0, peak, 1)
    pair = [(x / peak)[:, None] for x in (image.abs(), truth)]
    value = ssim(pair[0], pair[1], data_range=1.0, reduction="none")
    assert isinstance(value, Tensor)
    return 1 - value.reshape(-1)


def _scale(target: Tensor) -> Tensor:
    mean = target.abs().mean((-2, -1))
    return torch.where(mean > 0, mean, 1)
