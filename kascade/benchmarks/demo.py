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
from kascade.recon.models import ready_methods
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
TITLES = {
    "zero-filled": "Zero-filled",
    "sense": "SENSE",
    "wavelet": "L1-wavelet",
    "tv": "Total variation",
    "unrolled": "Unrolled",
}


@dataclass(frozen=True)
class DemoRow:
    """One method: how long all slices took, and its scores against the noise-free truth."""

    method: str
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
    return len(ready_methods()) + 2


def run_demo(
    folder: str | os.PathLike[str],
    force: bool = False,
    progress: Callable[[str], None] | None = None,
    shape: tuple[int, int, int] = SHAPE,
    coils: int = COILS,
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
    shape : tuple of int
        Slices, rows and columns of the head.
    coils : int
        Receive coils.

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
    scan = replace(simulate_head(shape, coils=coils, snr=SNR, readout_oversampling=2, name="head"), maps=None)
    write_scan(scan, full, force)
    mask = uniform_mask(shape[2], ACCEL, ACS)
    write_scan(replace(load(full).undersample(mask), targets=None), undersampled, force)
    rows = []
    for name in ready_methods():
        tell(f"reconstructing: {name}")
        report = reconstruct_file(undersampled, folder / name, Plan(name), force)
        scores = evaluate_files(folder / name / "head.h5", full)["mean"]
        rows.append(DemoRow(name, report["seconds_total"], scores["nmse"], scores["psnr"], scores["ssim"]))
    tell("drawing")
    title = f"{coils} coils, R = {ACCEL} (true {true_acceleration(mask):.2f}), SNR {SNR:g}"
    save_figure(_picture(folder, full, shape[0] // 2, title), picture, force)
    return Demo(tuple(rows), full, undersampled, picture, true_acceleration(mask))


def _picture(folder: Path, full: Path, index: int, title: str) -> Figure:
    """One slice by every method beside the truth."""
    truth = read_images(full, ("reconstruction_rss",))[index].numpy()
    done = ready_methods()
    images = {TITLES.get(name, name): read_images(folder / name / "head.h5")[index].numpy() for name in done}
    return comparison(images, truth, reference_name="Truth", title=title)
