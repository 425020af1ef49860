"""How well a volume was restored: NMSE, PSNR and SSIM, those of its slices, and the agreement of tissues."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import ShapeError
from kascade.report.metrics import SSIM_WINDOW, nmse, psnr, ssim
from kascade.report.tissues import dice_scores, tissue_labels

__all__ = ["superres_scores", "volume_scores"]

Array = NDArray[np.float32]


def volume_scores(restored: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Score a whole volume, with the largest value of the true one as peak.

    Parameters
    ----------
    restored, truth : array
        Real (x, y, z).

    Returns
    -------
    dict
        "nmse", "psnr" (dB), and "ssim" with a uniform window of 7 x 7 x 7 in the box that holds the head.

    Raises
    ------
    ShapeError
        If the shapes differ, are not those of volumes, or are smaller than the window.
    ConfigError
        If a volume is not finite, or the truth nowhere positive.
    """
    x, t = _checked(restored, truth)
    return {"nmse": nmse(x, t), "psnr": psnr(x, t), "ssim": _volume_ssim(x, t, float(t.max()))}


def superres_scores(
    restored: ArrayLike,
    truth: ArrayLike,
    axis: int,
    *,
    mask: ArrayLike | None = None,
    contrast: str = "t1",
    tissues: bool = True,
    labels: ArrayLike | None = None,
) -> dict[str, float]:
    """Score a restored volume.

    Parameters
    ----------
    restored, truth : array
        Real (x, y, z).
    axis : int
        Axis across the thick slices, counted from the end.
    mask : array, optional
        The brain, for the tissues; where the truth is above 0 by default, which is right for skull-stripped volumes.
    contrast : {"t1", "t2"}
        As in `tissue_labels`.
    tissues : bool
        Segment both volumes, too.
    labels : array, optional
        `tissue_labels` of the truth within the mask, where they are known; they take seconds.

    Returns
    -------
    dict
        "psnr" and "ssim" (3-D, uniform window of 7 x 7 x 7) of the volume; "psnr_slices" and "ssim_slices", means over
        the images that lie across the thick slices and hold any of the head (for axial slices coronal ones), all with
        the largest value of the true volume as peak; "dice_csf", "dice_gray", "dice_white", "dice_mean", each volume
        segmented on its own within the mask.

    Raises
    ------
    ShapeError
        If the shapes differ, are not those of volumes, or are smaller than the window.
    ConfigError
        If a volume is not finite, the truth is nowhere positive, or the mask holds no brain.
    """
    x, t = _checked(restored, truth)
    peak = float(t.max())
    through = {-1: -2, -2: -1, -3: -2}[axis]
    pairs = [(a, b) for a, b in zip(np.moveaxis(x, through, 0), np.moveaxis(t, through, 0), strict=True) if b.any()]
    scores = {"psnr": psnr(x, t), "ssim": _volume_ssim(x, t, peak)}
    scores["psnr_slices"] = float(np.mean([psnr(a, b, peak) for a, b in pairs]))
    scores["ssim_slices"] = float(np.mean([ssim(a, b, peak) for a, b in pairs]))
    if tissues:
        brain = t > 0 if mask is None else np.asarray(mask, dtype=bool)
        known = tissue_labels(t, brain, contrast) if labels is None else labels
        dice = dice_scores(tissue_labels(x, brain, contrast), known)
        scores |= {f"dice_{name}": value for name, value in dice.items()}
    return scores


def _checked(restored: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    x, t = np.asarray(restored, dtype=np.float32), np.asarray(truth, dtype=np.float32)
    if x.shape != t.shape or t.ndim != 3 or min(t.shape) < SSIM_WINDOW:
        raise ShapeError(
            f"restored is {x.shape}, truth {t.shape}; expected equal (x, y, z), each {SSIM_WINDOW} or more"
        )
    return x, t


def _volume_ssim(x: Any, t: Any, peak: float) -> float:
    """Structural similarity with a window in three dimensions, within the box that holds the head."""
    from skimage import metrics

    head = np.nonzero(t)
    reach = [(max(int(n.min()) - SSIM_WINDOW, 0), int(n.max()) + SSIM_WINDOW + 1) for n in head]
    box = tuple(slice(a, b) for a, b in reach)
    if min(b.stop - b.start for b in box) < SSIM_WINDOW:
        box = (slice(None),) * 3
    compare: Any = metrics.structural_similarity  # comes without types
    return float(compare(t[box], x[box], data_range=peak, win_size=SSIM_WINDOW))
