"""The demonstration: a simulated scan of a head, undersampled, reconstructed by every method there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kascade.data import load, read_images, simulate_head, write_scan
from kascade.data.masks import true_acceleration, uniform_mask
from kascade.recon.evaluate_files import evaluate_files
from kascade.recon.method import methods
from kascade.recon.outputs import make_folder
from kascade.recon.plan import Plan
from kascade.recon.run import reconstruct_file
from kascade.report.figures import comparison, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Demo", "DemoRow", "run_demo", "steps"]

SHAPE = (3, 256, 256)
COILS = 12
SNR = 30.0
ACCEL, ACS = 4, 24
SLICE = 1  # shown in the picture


@dataclass(frozen=True)
class DemoRow:
    """One method: what it is, how long all slices took, and its scores against the noise-free truth."""

    method: str
    description: str
    seconds: float
    nmse: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Demo:
    """What `run_demo` made.

    Attributes
    ----------
    rows : tuple of DemoRow
        The methods.
    scan, undersampled, picture : Path
        The simulated scan, the same undersampled, and the picture of all reconstructions.
    true_acceleration : float
        Of the undersampled scan.
    """

    rows: tuple[DemoRow, ...]
    scan: Path
    undersampled: Path
    picture: Path
    true_acceleration: float


def steps() -> int:
    """How often `run_demo` calls `progress`."""
    return len(methods()) + 2


def run_demo(
    folder: str | os.PathLike[str], force: bool = False, progress: Callable[[str], None] | None = None
) -> Demo:
    """Simulate, undersample, reconstruct, score, draw.

    Parameters
    ----------
    folder : path
        Gets ``scan/head.h5`` (fully sampled, with the truth), ``undersampled/head.h5``, the results of each method in
        a folder of its name, and ``demo.png``.
    force : bool
        Replace existing files.
    progress : callable, optional
        Called with a description before each step.

    Returns
    -------
    Demo

    Raises
    ------
    OutputError
        If a file exists (and not `force`) or cannot be written.
    """
    folder, tell = Path(folder), progress or (lambda text: None)
    full, undersampled, picture = folder / "scan/head.h5", folder / "undersampled/head.h5", folder / "demo.png"
    for path in (full, undersampled):
        make_folder(path.parent)
    tell("simulating a scan of the head")
    scan = replace(simulate_head(SHAPE, coils=COILS, snr=SNR, readout_oversampling=2, name="head"), maps=None)
    write_scan(scan, full, force)
    mask = uniform_mask(SHAPE[2], ACCEL, ACS)
    write_scan(replace(load(full).undersample(mask), targets=None), undersampled, force)
    rows = []
    for name, description in methods().items():
        tell(f"reconstructing: {name}")
        report = reconstruct_file(undersampled, folder / name, Plan(name), force)
        scores = evaluate_files(folder / name / "head.h5", full)["mean"]
        rows.append(DemoRow(name, description, report["seconds_total"], scores["nmse"], scores["psnr"], scores["ssim"]))
    tell("drawing")
    save_figure(_picture(folder, rows, full, true_acceleration(mask)), picture, force)
    return Demo(tuple(rows), full, undersampled, picture, true_acceleration(mask))


def _picture(folder: Path, rows: list[DemoRow], full: Path, acceleration: float) -> Figure:
    truth = read_images(full, ("reconstruction_rss",))[SLICE].numpy()
    images = {row.method: read_images(folder / row.method / "head.h5")[SLICE].numpy() for row in rows}
    title = f"{COILS} coils, R = {ACCEL} (true {acceleration:.2f}), SNR {SNR:g}"
    return comparison(images, truth, reference_name="truth", title=title)
