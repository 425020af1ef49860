"""What the lambda benchmark tests on: undersampled slices of heads that no training saw, with their truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kascade.data import Scan, load, simulate_head, simulate_volume
from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError
from kascade.recon.setup import Problem, Setup
from kascade.report.head_score import floor_corrected, rss_image, scaled_to
from kascade.report.metrics import ssim_map
from kascade.train.recipe import Recipe

__all__ = [
    "ACCELERATIONS",
    "ACS",
    "COILS",
    "MEASURED",
    "SNR",
    "Probe",
    "make_probes",
    "measured_scan",
    "phantom_scan",
    "undersampled",
]

ACCELERATIONS, ACS, COILS, SNR = (4, 6), 24, 8, 20.0
PHANTOM_SHAPE, PHANTOM_FOV_MM = (1, 224, 192), (240.0, 206.0)
PHANTOMS = (("t1", 90210, 20.0), ("t2", 90211, 35.0), ("flair", 90212, 5.0), ("t1", 90213, 50.0))  # seed, height in mm
SLICES_AT = (0.45, 0.65)  # of the slices of a volume that show anything, from first to last
MEASURED = "kspace/full.cfl"

Image = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Probe:
    """One slice at one acceleration.

    Attributes
    ----------
    scan : str
        Head and contrast that it is a slice of.
    slice : int
        Number in the scan.
    accel : int
        R.
    measured : bool
        The scan is a measured one, else simulated.
    problem : Problem
        What a cascade gets.
    reference : array
        The noise-free truth or, of measured scans, RSS of the fully sampled k-space, (rows, columns).
    """

    scan: str
    slice: int
    accel: int
    measured: bool
    problem: Problem
    reference: Image

    @property
    def name(self) -> str:
        """Scan, slice and R in words."""
        return f"{self.scan}, slice {self.slice}, R = {self.accel}"

    def psnr(self, image: Tensor) -> float:
        """PSNR in dB within the head, as `kascade.report.head_score`, of an image of the problem."""
        target, head = self.truth
        error = float(np.mean((self.scaled(image) - target)[head] ** 2))
        return 10 * math.log10(float(target[head].max()) ** 2 / error) if error else math.inf

    def ssim(self, image: Tensor) -> float:
        """Structural similarity within the head, likewise."""
        target, head = self.truth
        return float(ssim_map(self.scaled(image), target, float(target[head].max()))[1][head].mean())

    def scaled(self, image: Tensor) -> Image:
        """Magnitude of an image of the problem as it is scored: as a user gets it, scaled to the truth."""
        magnitude = self.problem.final(image).abs().cpu().numpy().astype(np.float64)
        return scaled_to(magnitude, *self.truth)

    @cached_property
    def truth(self) -> tuple[Image, NDArray[np.bool_]]:
        """What the image should be, and where the head is."""
        return floor_corrected(self.reference)


def make_probes(recipe: Recipe, data: Path | None) -> list[Probe]:
    """Simulate and read everything to test on.

    There are phantom heads, slices of the files that the recipe's sources set aside by `test`, and the measured scan
    `MEASURED` where the data folder has it.

    Parameters
    ----------
    recipe : Recipe
        Of the trainings.
    data : Path, optional
        Folder of the data.

    Raises
    ------
    ConfigError
        If a volume is empty.
    FileFormatError
        If a file cannot be read.
    """
    probes = []
    for name, index, scan in _simulated(recipe, data):
        truth = scan.target(0)
        assert truth is not None
        probes += [_probe(name, index, accel, False, scan, truth.numpy()) for accel in ACCELERATIONS]
    measured = measured_scan(data)
    if measured is not None:
        full = rss_image(measured.kspace[0].numpy())
        probes += [_probe(measured.name, 0, accel, True, measured, full) for accel in ACCELERATIONS]
    return probes


def phantom_scan(index: int = 0, **options: Any) -> Scan:
    """One of the phantom heads, fully sampled: one slice, with further arguments of `simulate_scan`."""
    contrast, seed, height = PHANTOMS[index]
    settings: dict[str, Any] = {"coils": COILS, "snr": SNR, "contrast": contrast, "seed": seed, **options}
    return simulate_head(PHANTOM_SHAPE, fov_mm=PHANTOM_FOV_MM, slice_positions_mm=[height], **settings)


def measured_scan(data: Path | None) -> Scan | None:
    """The measured scan, fully sampled; None where it is not there."""
    if data is None or not (data / MEASURED).exists():
        return None
    return load(data / MEASURED)


def undersampled(scan: Scan, accel: int) -> Scan:
    """As a scanner would give it: without the true maps, whose place ESPIRiT takes."""
    return replace(scan.undersample(MaskSpec(accel=accel, acs=ACS).make(scan.matrix)), maps=None, targets=None)


def _probe(name: str, index: int, accel: int, measured: bool, scan: Scan, reference: Image) -> Probe:
    return Probe(name, index, accel, measured, Setup().problem(undersampled(scan, accel), 0), reference)


def _simulated(recipe: Recipe, data: Path | None) -> Iterator[tuple[str, int, Scan]]:
    """Name, number of the slice, and scan of that slice."""
    for number in range(len(PHANTOMS)):
        yield f"phantom {number + 1}", 0, phantom_scan(number)
    for name, path in _held_out(recipe, data):
        scan = simulate_volume(path, coils=COILS, snr=SNR)
        for index in _shown(scan, path):
            yield name, index, scan.slices(index, index + 1)


def _held_out(recipe: Recipe, data: Path | None) -> Iterator[tuple[str, Path]]:
    """Name and path of the volumes that the recipe sets aside for tests."""
    for source in recipe.data.sources:
        if source.kind != "nifti" or data is None:
            continue
        place = data / source.folder
        for path in sorted(place.glob(source.files)):
            name = path.relative_to(place).as_posix()
            if any(text in name for text in source.test):
                yield name.removesuffix(".gz").removesuffix(".nii"), path


def _shown(scan: Scan, path: Path) -> list[int]:
    targets = scan.targets
    signal = np.array([float(image.sum()) for image in targets]) if targets is not None else np.zeros(1)
    if not signal.any():
        raise ConfigError(f"{path}: every voxel is 0; it cannot be tested on")
    shown = np.flatnonzero(signal > 0.05 * signal.max())
    return sorted({round(shown[0] + at * (shown[-1] - shown[0])) for at in SLICES_AT})
