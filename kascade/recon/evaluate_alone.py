"""Files of images scored without a reference."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kascade.data.degradation import intensity_scale
from kascade.data.degradation.files import nifti_files
from kascade.data.nifti import read_volume
from kascade.data.planes import slice_plane
from kascade.errors import FileFormatError, KascadeError
from kascade.report.restoration_score import NO_REFERENCE, no_reference

__all__ = ["evaluate_alone"]

Scores = dict[str, tuple[float, float]]


def evaluate_alone(path: str | os.PathLike[str]) -> tuple[dict[str, Scores], dict[str, str], list[str]]:
    """Tenengrad, entropy and range of gray values, see `no_reference`, of NIfTI volumes.

    White is the 99.9th percentile of each volume, and slices that are zero everywhere do not count.

    Parameters
    ----------
    path : path
        A file, or a folder of them.

    Returns
    -------
    dict
        For each volume and metric mean and standard deviation over slices.
    dict
        Volumes of a folder that could not be scored, and why.
    list of str
        What was found wrong with volumes that were scored, and how it was handled.

    Raises
    ------
    FileFormatError
        If there is nothing to read.
    """
    files = nifti_files(Path(path))
    found: dict[str, Scores] = {}
    problems: dict[str, str] = {}
    remarks: list[str] = []
    for file in files:
        try:
            found[file.name], told = _scores(file)
            remarks += [f"{file}: {remark}" for remark in told]
        except KascadeError as error:
            if len(files) == 1:
                raise
            problems[file.name] = str(error)
    return found, problems, remarks


def _scores(file: Path) -> tuple[Scores, list[str]]:
    volume = read_volume(file).magnitudes()
    slices = slice_plane(volume).slices(volume.data)
    shown = slices[slices.flatten(1).any(1)]
    if not len(shown):
        raise FileFormatError(f"{file}: every voxel is 0; there is nothing to score")
    values = no_reference(shown.numpy(), intensity_scale(slices.contiguous()))
    scores = {name: (float(np.mean(values[name])), float(np.std(values[name]))) for name in NO_REFERENCE}
    return scores, list(volume.problems)
