"""Evaluation of files: reconstructions against targets of the same name, fastMRI's numbers; and NIfTI volumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from kascade.data import Scan, crop_to_recon, load, read_images
from kascade.data.formats.hdf5 import check_file, is_hdf5, open_hdf5
from kascade.data.masks import infer_mask, true_acceleration
from kascade.data.nifti import is_nifti, stem
from kascade.data.slices import Slices
from kascade.errors import FileFormatError, KascadeError
from kascade.physics.fourier import ifft
from kascade.physics.rss import rss
from kascade.recon.evaluate_nifti import compare_volumes
from kascade.report.evaluate import METRICS, evaluate_pair

__all__ = ["Evaluation", "evaluate_files", "read_target"]

_TARGETS = ("reconstruction_rss", "reconstruction_esc")
_HDF5_SUFFIXES = (".h5", ".hdf5")


class Evaluation(TypedDict):
    """What `evaluate_files` found; "volumes" and "mean" hold "nmse", "psnr" (dB) and "ssim"."""

    volumes: dict[str, dict[str, float]]
    mean: dict[str, float]
    notes: list[str]
    problems: dict[str, str]


def evaluate_files(recon: str | os.PathLike[str], target: str | os.PathLike[str], crop: bool = True) -> Evaluation:
    """Compare reconstructions with their targets, as ``fastmri.evaluate`` does, or NIfTI volumes with true ones.

    Parameters
    ----------
    recon : path
        HDF5 file with the data set `reconstruction`, (slices, rows, columns), or a NIfTI volume, or a folder of them.
        Of complex images the magnitude is compared.
    target : path
        File with `reconstruction_rss`, `reconstruction_esc` or fully sampled k-space, or a folder of such HDF5 files;
        for a NIfTI volume one on the same grid. Volumes are scored whole, see `volume_scores`.
        Two files are compared whatever their names; otherwise files belong together whose names are equal but for
        the suffix.
    crop : bool
        False compares whole frames; else as `kascade.report.evaluate.evaluate_pair`.

    Returns
    -------
    Evaluation
        ``{"volumes": {name: {"nmse", "psnr", "ssim"}}, "mean": {...}, "notes": [...], "problems": {name: message}}``.
        The notes name volumes that could not be cropped or had faults, and reconstructions without a target. The
        problems of a folder are targets without a reconstruction and volumes that could not be compared; the mean is
        without them.

    Raises
    ------
    FileFormatError
        If a path does not exist or no volume at all could be compared.
    KascadeError
        Of two files: what makes them impossible to compare.
    """
    recon, target = Path(recon), Path(target)
    notes: list[str] = []
    problems: dict[str, str] = {}
    if recon.is_dir() or target.is_dir():
        pairs = _pairs(recon, target, notes, problems)
    else:
        pairs = {_name(target): (recon, target)}
    volumes: dict[str, dict[str, float]] = {}
    for name, (image, reference) in pairs.items():
        try:
            if is_nifti(image):
                scores, remarks = compare_volumes(image, reference)
            else:
                scores, remarks = _compare(image, reference, crop)
        except KascadeError as error:
            if len(pairs) == 1 and not problems:
                raise
            problems[name] = str(error)
            continue
        volumes[name] = scores
        notes += remarks
    if not volumes:
        raise FileFormatError(f"{recon}: nothing to compare with {target}; {next(iter(problems.values()))}")
    mean = {metric: float(np.mean([v[metric] for v in volumes.values()])) for metric in METRICS}
    return {"volumes": volumes, "mean": mean, "notes": notes, "problems": problems}


def read_target(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read the reference images of a file: those stored, else the RSS of its fully sampled k-space.

    Of a single-coil file `reconstruction_esc` comes first, of others `reconstruction_rss`, as in fastMRI's challenges.
    The RSS of k-space is cropped to the header's recon matrix where there is one.

    Parameters
    ----------
    path : path
        Any file that `kascade.data.load` reads, or HDF5 with a target alone.

    Returns
    -------
    array
        float32, (slices, rows, columns).

    Raises
    ------
    FileFormatError
        If the file cannot be read, or has no target and its k-space is undersampled.
    """
    path = Path(path)
    if is_hdf5(path):
        with open_hdf5(path) as file:
            target_alone = "kspace" not in file and any(n in file for n in _TARGETS)
        if target_alone:
            return _stack(read_images(path, _TARGETS))
    scan = load(path)
    if scan.targets is not None:
        return _stack(scan.targets)
    _require_full_sampling(scan, path)
    images = [crop_to_recon(rss(ifft(scan.kspace[i])), scan.header) for i in range(len(scan))]
    return np.stack([image.numpy() for image in images])


def _compare(recon: Path, target: Path, crop: bool) -> tuple[dict[str, float], list[str]]:
    """Scores of a reconstruction, and what is to be known about them."""
    images, reference = _stack(read_images(recon)), read_target(target)
    try:
        score = evaluate_pair(images, reference, crop)
    except KascadeError as error:
        raise type(error)(f"{recon} against {target}: {error}") from error
    whole = crop and not score["cropped"]
    remarks = [f"{_name(target)}: whole frames compared, fewer rows than columns x columns asks for"] if whole else []
    return {"nmse": score["nmse"], "psnr": score["psnr"], "ssim": score["ssim"]}, remarks


def _pairs(recon: Path, target: Path, notes: list[str], problems: dict[str, str]) -> dict[str, tuple[Path, Path]]:
    """Files of equal names; reconstructions that stand alone go to the notes, targets to the problems."""
    images, references = _by_name(recon), _by_name(target)
    names = references if recon.is_dir() else images
    pairs: dict[str, tuple[Path, Path]] = {}
    for name in names:
        if name not in images:
            problems[name] = (
                f"{references[name]}: no reconstruction {_file(name, references)} in {recon}; reconstruct that file too"
            )
        elif name not in references:
            problems[name] = f"{images[name]}: no target {_file(name, images)} in {target}"
        else:
            pairs[name] = images[name], references[name]
    extra = sorted(set(images) - set(names))
    if extra:
        notes.append(f"{recon}: no target for {', '.join(extra[:5])}{' ...' if extra[5:] else ''}")
    return pairs


def _by_name(path: Path) -> dict[str, Path]:
    """HDF5 and NIfTI files of a folder, hidden ones left out, or one file, by name without suffix."""
    if not path.is_dir():
        check_file(path)
        return {_name(path): path}
    try:
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise FileFormatError(f"{path}: not a readable folder ({error.strerror})") from error
    known = [file for file in files if file.suffix in _HDF5_SUFFIXES or is_nifti(file) or is_hdf5(file)]
    if not known:
        raise FileFormatError(
            f"{path}: no HDF5 or NIfTI file in this folder; expected reconstructions or targets, NAME.h5 or NAME.nii.gz"
        )
    found: dict[str, Path] = {}
    for file in known:
        if _name(file) in found:
            raise FileFormatError(f"{path}: {found[_name(file)].name} and {file.name} have one name; move one of them")
        found[_name(file)] = file
    return found


def _file(name: str, known: dict[str, Path]) -> str:
    """The file that is missing beside the one that is known."""
    return f"{name}.nii.gz" if is_nifti(known[name]) else f"{name}.h5"


def _name(path: Path) -> str:
    """The name without suffix."""
    if is_nifti(path):
        return stem(path)
    return path.stem if path.suffix in (*_HDF5_SUFFIXES, ".cfl", ".hdr", ".npy", ".npz", ".mat") else path.name


def _require_full_sampling(scan: Scan, path: Path) -> None:
    """Refuse a k-space with gaps inside the header's encoding limits: its RSS is no target."""
    mask = scan.mask if scan.mask is not None else infer_mask(scan.kspace)
    if mask is None:
        return
    left, right = scan.header.padding(mask.shape[-1])
    inside = mask[..., left:right]
    if not inside.all():
        raise FileFormatError(
            f"{path}: its k-space is undersampled (acceleration {true_acceleration(inside):.2f}) and it stores neither "
            f"{' nor '.join(_TARGETS)}; a target needs full sampling"
        )


def _stack(images: Slices) -> NDArray[np.float32]:
    """All slices in memory, (slices, rows, columns), magnitude."""
    stack = torch.stack([images[i] for i in range(len(images))])
    magnitude: NDArray[np.float32] = (stack.abs() if stack.is_complex() else stack).numpy()
    return magnitude
