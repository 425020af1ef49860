"""The scans of the quality benchmark: measured ones of a data folder, and simulated ones with a noise-free truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.data import Scan, load, simulate_head, simulate_volume
from kascade.data.masks import MaskSpec
from kascade.data.simulation.files import image_name
from kascade.errors import ConfigError
from kascade.recon.prepare import prepare_scan
from kascade.report.head_score import rss_image

__all__ = ["Case", "Piece", "lacking", "measured_cases", "simulated_cases"]

SNR, COILS, ACS, ACCELERATIONS = 20.0, 12, 24, (4, 6)
PHANTOM_SHAPE, PHANTOM_SEED = (3, 256, 256), 90210
SLICES_AT = (0.4, 0.55, 0.7)  # of the slices of a volume that show anything, from first to last


@dataclass(frozen=True)
class Piece:
    """One slice: a scan as a method gets it, and what its image should be, where that is known.

    Attributes
    ----------
    scan : Scan
        Of one slice.
    reference : array or None
        RSS of the fully sampled k-space, or the noise-free truth, (rows, columns).
    """

    scan: Scan
    reference: NDArray[np.floating[Any]] | None


@dataclass(frozen=True)
class Case:
    """One line of the benchmark.

    Attributes
    ----------
    name : str
        Short, also of its figure's file.
    title : str
        In words.
    kind : {"measured", "simulated", "without reference", "denoising"}
        Where its score, if any, comes from; "denoising" is fully sampled and without a reference.
    pieces : callable
        Reads or simulates the slices.
    sets : int
        Map sets.
    """

    name: str
    title: str
    kind: str
    pieces: Callable[[], list[Piece]]
    sets: int = 1


@dataclass(frozen=True)
class _Measured:
    """A case of the data folder; `full` is the file of its reference."""

    name: str
    title: str
    file: str
    slices: tuple[int, ...] = (0,)
    accel: int | None = None
    acs: int = ACS
    axes: str | None = None
    full: str | None = None
    sets: int = 1
    kind: str = "measured"


_COILS = "coil,rows,columns"
_MEASURED = (
    _Measured("t1-r4", "T1 brain, 8 coils, R = 4", "kspace/full.cfl", accel=4, full="kspace/full.cfl"),
    _Measured("t1-r3", "T1 brain, 8 coils, R = 3", "kspace/full.cfl", accel=3, full="kspace/full.cfl"),
    _Measured("t1-2x2", "T1 brain, 8 coils, 2 x 2", "kspace/und2x2.cfl", full="kspace/full.cfl"),
    *(
        _Measured(
            f"gre-{i}-r4",
            f"Gradient echo, 32 coils, slice {i}, R = 4",
            "kspace/gre_32ch.npy",
            slices=(i,),
            accel=4,
            acs=16,
            full="kspace/gre_32ch.npy",
        )
        for i in (0, 1)
    ),
    _Measured(
        "alias-r4",
        "Head larger than the FOV, 8 coils, two map sets, R = 4",
        "kspace/brain_alias_8ch.npy",
        accel=4,
        axes=_COILS,
        full="kspace/brain_alias_8ch.npy",
        sets=2,
    ),
    _Measured(
        "poisson",
        "Brain, 8 coils, Poisson disc, R = 8",
        "kspace/poisson_brain_8ch.npy",
        axes=_COILS,
        kind="without reference",
    ),
    _Measured(
        "lowfield",
        "Brain at 0.055 T, one coil, fully sampled",
        "lowfield/brain_fse_0p055T_kspace.npy",
        slices=(1, 2),
        axes="slice,rows,columns",
        kind="denoising",
    ),
)


def measured_cases(folder: Path) -> list[Case]:
    """Cases of the measured data that lie in `folder`; see `lacking`.

    Raises
    ------
    ConfigError
        If `folder` is none.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not a folder; expected one with kspace/full.cfl and other measured data")
    there = [case for case in _MEASURED if (folder / case.file).exists()]
    return [Case(case.name, case.title, case.kind, partial(_read, folder, case), case.sets) for case in there]


def lacking(folder: Path) -> list[str]:
    """Files that `measured_cases` looks for and `folder` does not hold."""
    return [file for file in dict.fromkeys(case.file for case in _MEASURED) if not (folder / file).exists()]


def simulated_cases(subjects: Sequence[Path]) -> list[Case]:
    """Simulated scans of the head phantom and of NIfTI volumes, at R = 4 and 6, SNR 20.

    Parameters
    ----------
    subjects : sequence of Path
        Volumes; the models must not have seen them in training.
    """
    sources: list[tuple[str, str, Callable[[], list[Scan]]]] = [("phantom", "Head phantom", _phantom)]
    sources += [(name := image_name(path), name, partial(_subject, path)) for path in subjects]
    return [
        Case(
            f"{name}-r{accel}",
            f"{title}, simulated, {COILS} coils, SNR {SNR:g}, R = {accel}",
            "simulated",
            partial(_undersampled, scans, accel),
        )
        for name, title, scans in sources
        for accel in ACCELERATIONS
    ]


def _read(folder: Path, case: _Measured) -> list[Piece]:
    spec = None if case.accel is None else MaskSpec(accel=case.accel, acs=case.acs)
    scan, _ = prepare_scan(folder / case.file, spec, axes=case.axes)
    full = None if case.full is None else load(folder / case.full, case.axes)
    return [
        Piece(scan.slices(i, i + 1), None if full is None else rss_image(full.kspace[i].numpy())) for i in case.slices
    ]


def _phantom() -> list[Scan]:
    scan = simulate_head(PHANTOM_SHAPE, coils=COILS, snr=SNR, seed=PHANTOM_SEED)
    return [scan.slices(i, i + 1) for i in range(len(scan))]


def _subject(path: Path) -> list[Scan]:
    scan = simulate_volume(path, coils=COILS, snr=SNR)
    assert scan.targets is not None
    signal = np.array([float(image.sum()) for image in scan.targets])
    shown = np.flatnonzero(signal > 0.05 * signal.max())
    places = [round(shown[0] + at * (shown[-1] - shown[0])) for at in SLICES_AT]
    return [scan.slices(i, i + 1) for i in dict.fromkeys(places)]


def _undersampled(scans: Callable[[], list[Scan]], accel: int) -> list[Piece]:
    """As a scanner would give it: without the true maps, whose place ESPIRiT takes."""
    pieces = []
    for scan in scans():
        mask = MaskSpec(accel=accel, acs=ACS).make(scan.matrix)
        truth = scan.target(0)
        assert truth is not None
        pieces.append(Piece(replace(scan.undersample(mask), maps=None, targets=None), truth.numpy()))
    return pieces
