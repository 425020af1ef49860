"""Test volumes of the super-resolution benchmark, and what networks make of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kascade.benchmarks.planning import held_out_files
from kascade.benchmarks.trainings import fingerprint
from kascade.data.nifti import Volume, read_volume
from kascade.data.simulation.thick import axis_of, simulate_thick
from kascade.recon.superres.volume import make_consistent, resimulation_error, super_resolve
from kascade.report.superres_scores import superres_scores
from kascade.report.tissues import tissue_labels
from kascade.train.superres.recipe import ThickData

__all__ = [
    "CONSISTENT",
    "GIVEN",
    "SuperResRow",
    "SuperResTest",
    "View",
    "held_out_tests",
    "plane_image",
    "score_volume",
    "views_of",
]

GIVEN, CONSISTENT = "as given", "consistent"
"""A restored volume as the network gives it, and pulled back to the thick slices."""

PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, eq=False)
class SuperResTest:
    """A fine volume and its thick slices; `subject` is its file within the data folder, without suffixes."""

    subject: str
    fine: Volume
    thick: Volume

    @cached_property
    def voxels(self) -> str:
        """What tells these images from others of the same name."""
        return fingerprint([self.fine.data, self.thick.data])

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Tissues of the fine volume, as `tissue_labels`; found when they are first asked for, which takes seconds."""
        truth = self.fine.data.numpy()
        return tissue_labels(truth, truth > 0)


@dataclass(frozen=True)
class SuperResRow:
    """Scores of one restored volume, those of `superres_scores`.

    `resimulation` is the relative difference of its re-simulated slices from the thick ones, `seconds` what network
    and interpolation took (for "consistent" the solve, too), `parameters` the network's.
    """

    subject: str
    output: str
    psnr: float
    ssim: float
    psnr_slices: float
    ssim_slices: float
    dice_csf: float
    dice_gray: float
    dice_white: float
    dice_mean: float
    resimulation: float
    seconds: float
    parameters: int


@dataclass(frozen=True)
class View:
    """A plane across the thick slices: its name, and the axis and index at which it lies."""

    plane: str
    axis: int
    index: int


def held_out_tests(config: ThickData, data: Path, subjects: int | None = None) -> list[SuperResTest]:
    """Read the `test` volumes of a recipe, the first `subjects` of them, and make thick slices of them.

    Raises
    ------
    ConfigError
        If there is none, or one is smaller than the factor.
    FileFormatError
        If one cannot be read.
    """
    tests = []
    for _, path in held_out_files(config.sources, data)[:subjects]:
        fine = read_volume(path)
        thick = simulate_thick(fine, config.factor, config.axis, config.profile)
        place = path.relative_to(data)
        tests.append(SuperResTest(place.with_name(place.name.split(".")[0]).as_posix(), fine, thick))
    return tests


def score_volume(
    network: nn.Module | None, test: SuperResTest, config: ThickData, device: str = "cpu"
) -> tuple[list[SuperResRow], Volume]:
    """Restore a test volume and score it, as given and made consistent.

    Parameters
    ----------
    network : nn.Module, optional
        None: cubic interpolation.
    test : SuperResTest
    config : ThickData
        What the slices were made by.
    device : str
        Where the network computes.

    Returns
    -------
    list of SuperResRow
        GIVEN and CONSISTENT.
    Volume
        The consistent one.
    """
    how: dict[str, Any] = {"axis": config.axis, "profile": config.profile, "device": device}
    begun = time.perf_counter()
    given = super_resolve(test.thick, config.factor, network=network, like=test.fine, lam=None, **how)
    restored = time.perf_counter()
    consistent = make_consistent(given, test.thick, config.factor, **how)
    seconds = restored - begun, time.perf_counter() - begun
    parameters = 0 if network is None else sum(p.numel() for p in network.parameters())
    rows = []
    for output, volume, spent in zip((GIVEN, CONSISTENT), (given, consistent), seconds, strict=True):
        scores = superres_scores(volume.data.numpy(), test.fine.data.numpy(), axis_of(config.axis), labels=test.labels)
        error = resimulation_error(volume, test.thick, config.factor, config.axis, config.profile)
        rows.append(
            SuperResRow(test.subject, output, **scores, resimulation=error, seconds=spent, parameters=parameters)
        )
    return rows, consistent


def views_of(test: SuperResTest, axis: str) -> Sequence[View]:
    """Middles of the head in the two planes across the thick slices: for axial slices sagittal and coronal."""
    found, head = [], test.fine.data.numpy() > 0
    for number, plane in enumerate(PLANES):
        if number == axis_of(axis) + 3:
            continue
        (seen,) = np.nonzero(np.any(head, axis=tuple(n for n in range(3) if n != number)))
        middle = seen[0] + 0.45 * (seen[-1] - seen[0])  # beside the gap between the hemispheres
        found.append(View(plane, number, int(middle)))
    return found


def plane_image(data: Tensor, view: View) -> Tensor:
    """The plane of a volume (x, y, z), the last axis upwards: (rows, columns)."""
    return torch.flip(data.select(view.axis, view.index).mT, (0,))
