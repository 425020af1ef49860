"""Whether explanations sit on the degradation: images that are degraded within a disk only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kascade.data.degradation import SOURCES, degrade, labels_of, make_degradations
from kascade.nets.cag import CAG
from kascade.recon.restoration.restore import padded_to_stride
from kascade.train.restoration.data import CleanVolume

__all__ = ["LocalCase", "explain_locally"]

RADIUS = 0.2  # of the smaller side of the image


@dataclass(frozen=True, eq=False)
class LocalCase:
    """One image with a degraded disk and its explanation.

    Attributes
    ----------
    source : str
        What degraded the disk.
    image, explanation : Tensor
        (rows, columns), 0 to 1.
    disk, head : Tensor
        bool (rows, columns).
    """

    source: str
    image: Tensor
    explanation: Tensor
    disk: Tensor
    head: Tensor

    @property
    def concentration(self) -> float:
        """Mean of the explanation in the disk over that in the rest of the head: 1 where it does not see the disk."""
        inside, outside = self.disk & self.head, ~self.disk & self.head
        rest = float(self.explanation[outside].mean())
        return float(self.explanation[inside].mean()) / max(rest, 1e-12)


def explain_locally(network: CAG, volumes: Sequence[CleanVolume], severity: str = "severe") -> list[LocalCase]:
    """Explain, by the true label, the middle slice of each volume with a disk of each degradation.

    Disks lie left or right of the middle, in turn.
    """
    cases = []
    for number, volume in enumerate(volumes):
        clean, head = volume.around(len(volume.slices) // 2)
        rows, columns = clean.shape[-2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        center = columns * (0.36 if number % 2 else 0.64)
        disk = (y - rows / 2) ** 2 + (x - center) ** 2 < (RADIUS * min(rows, columns)) ** 2
        for source in SOURCES:
            rng = np.random.default_rng((number, SOURCES.index(source)))
            steps = make_degradations((source,), severity, volume.spacing_mm)
            made = degrade(clean, steps, rng, head=head)
            mixed = torch.where(disk, made.image, made.clean)
            seen = padded_to_stride(network, 2 * mixed[None] - 1)
            explanation = network.explanation(seen, labels_of((source,)))[0, 0, :rows, :columns]
            cases.append(LocalCase(source, mixed[1], explanation, disk, head[1]))
    return cases
