"""Image quality against the regularization weight: the experiment of Nickel's Fig. 3 on any fully sampled scan."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from kascade.data import Scan
from kascade.data.masks import MaskSpec, infer_mask, true_acceleration
from kascade.errors import ConfigError
from kascade.recon.method import get_method
from kascade.recon.setup import Setup
from kascade.report.figures import curves
from kascade.report.head_score import rss_image, score_against_rss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SweepPoint", "best", "lambda_sweep", "sweep_csv", "sweep_figure"]

MAX_ITER = 500  # the largest lambda of a sweep leaves the normal equations ill-conditioned


@dataclass(frozen=True)
class SweepPoint:
    """Scores at one acceleration and one lambda, averaged over all slices.

    Attributes
    ----------
    accel, true_acceleration : float
        Nominal R, and samples of k-space divided by samples kept.
    lam : float
        Regularization strength.
    psnr, ssim : float
        Inside the head, against the target without its noise floor (`kascade.report.head_score`); PSNR in dB.
    iterations : float
        Of the solver.
    slices : int
        How many were averaged.
    """

    accel: float
    true_acceleration: float
    lam: float
    psnr: float
    ssim: float
    iterations: float
    slices: int


def lambda_sweep(
    scans: Iterable[Scan],
    masks: Sequence[MaskSpec],
    lams: Sequence[float],
    setup: Setup | None = None,
    progress: Callable[[], None] | None = None,
    method: str = "sense",
) -> list[SweepPoint]:
    """Undersample retrospectively, reconstruct at each lambda, score.

    The coil maps of a slice are computed once for each acceleration, from the central lines that its mask keeps.

    Parameters
    ----------
    scans : iterable of Scan
        Fully sampled.
    masks : sequence of MaskSpec
        One for each acceleration.
    lams : sequence of float
        Values of lambda, positive.
    setup : Setup, optional
        Map sets, whitening, device.
    progress : callable, optional
        Called after each reconstruction.
    method : str
        "sense", whose lambda bounds the noise, or "wavelet" or "tv", whose lambda weighs the penalty.

    Returns
    -------
    list of SweepPoint
        For each mask, in the order of `lams`.

    Raises
    ------
    ConfigError
        If a scan is undersampled, there is no lambda or no mask, or a lambda is not positive.

    References
    ----------
    Nickel, "Can We See the Bottom?", Siemens Healthineers 2025, Fig. 3.
    """
    if not masks or not lams or not all(lam > 0 for lam in lams):
        raise ConfigError(f"sweep over {len(masks)} accelerations and lambda = {list(lams)}: lambda must be positive")
    setup = setup or Setup()
    scores: dict[tuple[int, int], list[tuple[float, ...]]] = defaultdict(list)
    for scan in scans:
        _require_full(scan)
        for index in range(len(scan)):
            for m, spec in enumerate(masks):
                for n, score in enumerate(_scores(scan.slices(index, index + 1), spec, lams, setup, method)):
                    scores[m, n].append(score)
                    if progress is not None:
                        progress()
    if not scores:
        raise ConfigError("sweep: there is no scan to reconstruct")
    points = []
    for (m, n), rows in sorted(scores.items()):
        true, psnr, ssim, iterations = (float(mean) for mean in np.mean(rows, axis=0))
        points.append(SweepPoint(masks[m].accel, true, lams[n], psnr, ssim, iterations, len(rows)))
    return points


def best(points: Sequence[SweepPoint], accel: float, metric: str = "psnr") -> SweepPoint:
    """The point of an acceleration with the highest "psnr" or "ssim"."""
    return max((point for point in points if point.accel == accel), key=lambda point: float(getattr(point, metric)))


def sweep_csv(points: Sequence[SweepPoint]) -> str:
    """The points as text of comma-separated values, with a line of names first."""
    names = [field.name for field in fields(SweepPoint)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{getattr(point, name):.6g}" for name in names] for point in points)
    return text.getvalue()


def sweep_figure(points: Sequence[SweepPoint], title: str | None = None) -> Figure:
    """PSNR and SSIM over lambda, a curve for each acceleration; the best value of each curve is marked."""
    lams = sorted({point.lam for point in points})
    panels: dict[str, dict[str, list[float]]] = {"PSNR [dB]": {}, "SSIM": {}}
    for accel in dict.fromkeys(point.accel for point in points):
        curve = sorted((point for point in points if point.accel == accel), key=lambda point: point.lam)
        name = f"R = {accel:g} (true {curve[0].true_acceleration:.2f})"
        panels["PSNR [dB]"][name] = [point.psnr for point in curve]
        panels["SSIM"][name] = [point.ssim for point in curve]
    return curves(lams, panels, "λ", title)


def _scores(
    scan: Scan, spec: MaskSpec, lams: Sequence[float], setup: Setup, method: str
) -> Iterator[tuple[float, ...]]:
    """True acceleration, PSNR, SSIM and iterations of a scan of one slice, at each lambda."""
    target = rss_image(scan.kspace[0].numpy())
    mask = spec.make(scan.matrix, scan.path.name if scan.path is not None else scan.name)
    undersampled = scan.undersample(mask)
    maps = replace(setup, whitening="none").problem(undersampled, 0).E.maps
    calibrated = undersampled.with_maps(maps[None].cpu())
    for lam in lams:
        more = {"max_iter": MAX_ITER} if method == "sense" else {}
        result = get_method(method, lam=lam, **asdict(setup), **more)(calibrated, 0)
        score = score_against_rss(result.image.cpu().numpy(), target)
        yield true_acceleration(mask), score["psnr"], score["ssim"], result.info["iterations"]


def _require_full(scan: Scan) -> None:
    """Refuse k-space with gaps inside the header's encoding limits: nothing could be scored against it."""
    mask = scan.mask if scan.mask is not None else infer_mask(scan.kspace)
    left, right = scan.header.padding(scan.matrix[1])
    if mask is not None and not mask[..., left:right].all():
        raise ConfigError(
            f"{scan.path or scan.name}: undersampled (acceleration {true_acceleration(mask):.2f}); a sweep needs fully "
            "sampled k-space to score against"
        )
