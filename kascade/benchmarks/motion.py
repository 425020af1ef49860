"""The motion benchmark: images at rest, with motion ignored, known and estimated, on the same scans."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kascade.benchmarks.motion_cases import Case, Pair, measured_cases, simulated_cases, still_cases
from kascade.data.scan import Scan
from kascade.recon.method import Reconstruction, get_method
from kascade.report.head_score import score_against_rss

__all__ = ["MotionPlan", "MotionRow", "plan_motion", "run_motion"]

LAM = 2.0  # best for moved scans: k-space has gaps where shots turned apart


@dataclass(frozen=True)
class MotionRow:
    """What was measured of one case; NaN where the motion was not estimated.

    Attributes
    ----------
    case : Case
        What it was measured on.
    at_rest, ignored, known, estimated : float
        PSNR in dB inside the head: of the scan without motion; with motion that is ignored, known, estimated.
    error_px, error_deg : float
        Median over shots of the error of shifts and angles, relative to the shot at rest.
    worst_px, worst_deg : float
        Largest of them.
    seconds : float
        Of the estimation, on the wall; NaN for methods that do not tell.
    cpu_seconds : float
        Of estimation and last solve, of all threads: what counts on a machine that does other things, too.
    accepted : bool
        Whether the held-out lines spoke for the motion.
    change : float
        Largest difference of the image with estimated motion to that of plain SENSE, over its largest value.
    images : dict
        Magnitudes by the name above, and "reference".
    """

    case: Case
    at_rest: float
    ignored: float
    known: float
    estimated: float
    error_px: float
    error_deg: float
    worst_px: float
    worst_deg: float
    seconds: float
    cpu_seconds: float
    accepted: bool
    change: float
    images: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class MotionPlan:
    """Cases, the method that reconstructs them, and what is left out."""

    cases: list[Case]
    method: str = "sense"
    notes: tuple[str, ...] = ()


def plan_motion(
    data: Path | None, seeds: int = 10, known_seeds: int = 3, size: int = 256, method: str = "sense"
) -> MotionPlan:
    """Choose the cases.

    Parameters
    ----------
    data : Path, optional
        Folder of measured data, with kspace/full.cfl.
    seeds : int
        Heads whose motion is estimated.
    known_seeds : int
        Heads for each severity and order whose motion is known; also heads at rest.
    size : int
        Rows and columns of the simulated images.
    method : str
        As for `kascade.recon.get_method`.

    Raises
    ------
    ConfigError
        If there is no such method, or it cannot account for motion.
    """
    get_method(method, **_options(method, "stored"))
    measured = measured_cases(data)
    notes = () if measured else ("no measured case: name a folder with kspace/full.cfl by --data or KASCADE_DATA",)
    cases = [*simulated_cases(size, seeds, known_seeds), *still_cases(size, known_seeds), *measured]
    return MotionPlan(cases, method, notes)


def run_motion(plan: MotionPlan, progress: Callable[[str], None] | None = None) -> list[MotionRow]:
    """Measure every case, one after the other."""
    rows = []
    for case in plan.cases:
        if progress is not None:
            progress(case.name)
        rows.append(_measure(case, case.make(), plan.method))
    return rows


def _measure(case: Case, pair: Pair, method: str) -> MotionRow:
    rest, ignored = _image(pair.still, method, "none"), _image(pair.moved, method, "none")
    known = _image(pair.moved, method, "stored")
    target = _target(pair.moved)
    results = {"at_rest": rest, "ignored": ignored, "known": known}
    error, seconds, accepted = np.full((1, 3), np.nan), (np.nan, np.nan), True
    if case.estimates:
        cpu = time.process_time()
        results["estimated"] = _image(pair.moved, method, "estimate")
        seconds = results["estimated"].info.get("seconds_setup", np.nan), time.process_time() - cpu
        told: dict[str, Any] = results["estimated"].info["motion"]
        assert pair.moved.motion is not None
        error, accepted = np.abs(np.array(told["curves"]) - pair.moved.motion.numpy()), told["accepted"]
    images = {name: result.image.abs().numpy() for name, result in results.items()}
    psnr = {name: score_against_rss(image, target)["psnr"] for name, image in images.items()}
    other, plain = results.get("estimated", ignored).image, ignored.image
    return MotionRow(
        case=case,
        at_rest=psnr["at_rest"],
        ignored=psnr["ignored"],
        known=psnr["known"],
        estimated=psnr.get("estimated", np.nan),
        error_px=float(np.median(error[:, :2])),
        error_deg=float(np.median(error[:, 2])),
        worst_px=float(error[:, :2].max()),
        worst_deg=float(error[:, 2].max()),
        seconds=seconds[0],
        cpu_seconds=seconds[1],
        accepted=accepted,
        change=float((other - plain).abs().max() / plain.abs().max()),
        images={**images, "reference": target},
    )


def _image(scan: Scan, method: str, motion: str) -> Reconstruction:
    with torch.no_grad():
        return get_method(method, **_options(method, motion))(scan, 0)


def _options(method: str, motion: str) -> dict[str, Any]:
    return {"motion": motion, **({"lam": LAM} if method == "sense" else {})}


def _target(scan: Scan) -> NDArray[np.float32]:
    target = scan.target(0)
    assert target is not None
    return target.numpy()
