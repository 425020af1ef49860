"""Test images of the restoration benchmark, and what networks make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kascade.data.degradation import SEVERITIES, degrade, labels_of, make_degradations, parse_sources
from kascade.recon.restoration.restore import padded_to_stride, restore_slices
from kascade.report.restoration_score import no_reference, score_restored
from kascade.train.restoration.data import CleanVolume

__all__ = ["MIXTURES", "ImageRow", "RestoreTest", "classify_tests", "make_tests", "score_network", "score_rows"]

MIXTURES = ("motion", "low-resolution", "noise", "motion+low-resolution", "motion+noise")
SEED = 20_240


@dataclass(frozen=True, eq=False)
class RestoreTest:
    """A degraded slice between its neighbors, (3, rows, columns) in [-1, 1], and what it was.

    "clean" has no severity.
    """

    subject: str
    slice: int
    mixture: str
    severity: str
    degraded: Tensor
    clean: Tensor
    head: Tensor

    @property
    def labels(self) -> Tensor:
        """What a classifier should say."""
        return labels_of(parse_sources(self.mixture))


@dataclass(frozen=True)
class ImageRow:
    """Scores of one image; of a network all of Table 1, 2 and 3 follow from these."""

    subject: str
    slice: int
    mixture: str
    severity: str
    psnr: float
    ssim: float
    rmse: float
    tenengrad: float
    entropy: float
    range: float


def make_tests(volumes: Sequence[CleanVolume], slices: int) -> list[RestoreTest]:
    """Degrade slices of the test subjects, evenly spread, by every mixture and severity, and leave them clean.

    The same each time: seeds follow from the place in the list.
    """
    tests = []
    for number, volume in enumerate(volumes):
        for index in np.linspace(0, len(volume.slices) - 1, slices + 2)[1:-1].round().astype(int).tolist():
            clean, head = volume.around(index)
            cases = [("clean", ""), *((mixture, severity) for mixture in MIXTURES for severity in SEVERITIES)]
            for case, (mixture, severity) in enumerate(cases):
                sources = parse_sources(mixture)
                steps = make_degradations(sources, severity, volume.spacing_mm) if severity else []
                made = degrade(clean, steps, np.random.default_rng((SEED, number, index, case)), head=head)
                images = 2 * made.image - 1, 2 * made.clean - 1
                tests.append(RestoreTest(volume.name, index, mixture, severity, *images, head[1]))
    return tests


def score_network(network: nn.Module | None, tests: Sequence[RestoreTest], device: str = "cpu") -> list[ImageRow]:
    """Scores of a network's middle slices; None scores the degraded images themselves."""
    rows = []
    for test in tests:
        x = test.degraded[None]
        image = x[0, 1] if network is None else restore_slices(network, x.to(device))[0][0, 1].cpu()
        rows += score_rows(test, image)
    return rows


def score_rows(test: RestoreTest, image: Tensor) -> list[ImageRow]:
    """Row of one restored slice; none where there is no head."""
    found = score_restored(image.numpy(), test.clean[1].numpy(), test.head.numpy())
    if found is None:
        return []
    alone = no_reference(((image + 1) / 2).clamp(min=0)[None].numpy(), 1.0)
    values = {name: float(value[0]) for name, value in alone.items()}
    return [ImageRow(test.subject, test.slice, test.mixture, test.severity, **found._asdict(), **values)]


@torch.no_grad()
def classify_tests(classifier: nn.Module, tests: Sequence[RestoreTest], device: str = "cpu") -> Tensor:
    """Logits of a classifier, (tests, 4)."""
    return torch.stack(
        [classifier(padded_to_stride(classifier, test.degraded[None].to(device)))[0].cpu() for test in tests]
    )
