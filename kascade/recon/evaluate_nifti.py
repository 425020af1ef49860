"""Evaluation of a restored NIfTI volume against the true one."""

from __future__ import annotations

from pathlib import Path

import torch

from kascade.data.nifti import Volume, is_nifti, read_volume
from kascade.errors import FileFormatError, KascadeError
from kascade.report.superres_scores import volume_scores

__all__ = ["compare_volumes"]

_ELSEWHERE = 0.05  # voxels by which two volumes may be apart and still be compared


def compare_volumes(restored: Path, truth: Path) -> tuple[dict[str, float], list[str]]:
    """Score a volume against one on the same grid.

    Parameters
    ----------
    restored, truth : Path
        NIfTI files; both are taken to RAS+ first.

    Returns
    -------
    dict
        As `volume_scores`.
    list of str
        What was found wrong with the files, and how it was handled.

    Raises
    ------
    FileFormatError
        If a file cannot be read, or they are on different grids.
    KascadeError
        If they cannot be scored.
    """
    if not is_nifti(truth):
        raise FileFormatError(f"{truth}: {restored} is a NIfTI volume; expected another one to compare it with")
    x, t = read_volume(restored), read_volume(truth)
    sizes = [" x ".join(map(str, volume.data.shape)) for volume in (x, t)]
    if sizes[0] != sizes[1] or _apart(x, t) > _ELSEWHERE:
        raise FileFormatError(
            f"{restored}: {sizes[0]} voxels, not on the grid of {truth}, {sizes[1]} voxels, or elsewhere by its "
            "affine; kascade restore --like puts a volume on the grid of another"
        )
    try:
        scores = volume_scores(x.data.numpy(), t.data.numpy())
    except KascadeError as error:
        raise type(error)(f"{restored} against {truth}: {error}") from error
    return scores, [f"{path}: {problem}" for path, v in ((restored, x), (truth, t)) for problem in v.problems]


def _apart(x: Volume, t: Volume) -> float:
    """How far a corner of one volume is from where it is in another, in voxels; 0 where a file does not say."""
    if "???" in (x.orientation, t.orientation):
        return 0.0
    return x.farthest(torch.linalg.solve(t.affine, x.affine) - torch.eye(4, dtype=torch.float64))
