"""Self-distilled truncation: latents are drawn towards the nearest center of those that a generator was trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Truncation"]


class Truncation(nn.Module):
    """Keep a part of a latent's distance from the nearest of several centers.

    w -> c + psi (w - c) with c the center that is nearest to w. The centers are those of clusters of mapped latents,
    and are stored with the weights; until they are given (`set_centers`) latents pass unchanged, for there is nothing
    yet to be drawn to.

    Parameters
    ----------
    latent : int
        Features of a latent.
    count : int
        Number of centers.
    psi : float
        Part of the distance that is kept.

    References
    ----------
    Mokady et al., Self-Distilled StyleGAN, SIGGRAPH 2022; Huang et al., TransMRSR, 2023, Eq. 5.
    """

    centers: Tensor
    given: Tensor

    def __init__(self, latent: int, count: int = 8, psi: float = 0.9) -> None:
        super().__init__()
        self.psi = psi
        self.register_buffer("centers", torch.zeros(count, latent))
        self.register_buffer("given", torch.zeros((), dtype=torch.bool))

    def set_centers(self, centers: Tensor) -> None:
        """Take over centers, (count, latent)."""
        if centers.shape != self.centers.shape:
            raise ValueError(f"centers are {tuple(centers.shape)}; expected {tuple(self.centers.shape)}")
        self.centers.copy_(centers)
        self.given.fill_(True)

    def forward(self, w: Tensor) -> Tensor:
        """Truncate latents (..., latent)."""
        centers = self.centers.to(w.dtype)
        distance = torch.cdist(w.detach().flatten(0, -2), centers)
        nearest = centers[distance.argmin(-1)].view_as(w)
        return torch.where(self.given, nearest + self.psi * (w - nearest), w)
