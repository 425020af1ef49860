"""From a file to the scan that a method gets: its mask, its oversampling, retrospective undersampling, given maps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from kascade.data import Scan, load, read_maps
from kascade.data.formats.hdf5 import is_hdf5
from kascade.data.masks import MaskSpec, infer_mask
from kascade.data.slices import SharedSource, Slices, SliceSource
from kascade.errors import FileFormatError
from kascade.recon.sources import result_name

__all__ = ["attach_maps", "prepare_scan"]


def prepare_scan(
    path: str | os.PathLike[str],
    undersampling: MaskSpec | None = None,
    keep_oversampling: bool = False,
    maps: Path | None = None,
    axes: str | None = None,
) -> tuple[Scan, str]:
    """Open a file for reconstruction.

    Parameters
    ----------
    path : path
        File that `kascade.data.load` reads.
    undersampling : MaskSpec, optional
        Retrospective undersampling, on top of the file's own mask where it has one.
    keep_oversampling : bool
        Keep the readout oversampling that the header tells of; it is removed otherwise, exactly.
    maps : Path, optional
        Coil maps, see `attach_maps`.
    axes : str, optional
        As `kascade.data.load`.

    Returns
    -------
    scan : Scan
        With a mask, unless every sample was acquired. A mask that the file does not store is inferred: missing is what
        is exactly zero in every coil and slice.
    sampling : str
        Where the mask comes from, in words.

    Raises
    ------
    KascadeError
        If the file or the maps cannot be read, or do not fit each other or the mask.
    """
    scan = load(path, axes)
    sampling = "mask of the file"
    if scan.mask is None:
        inferred = infer_mask(scan.kspace)
        sampling = "fully sampled" if inferred is None else "mask inferred from the zeros of k-space"
        if inferred is not None:
            scan = scan.undersample(inferred)
    oversampled = scan
    if not keep_oversampling:
        scan = scan.without_oversampling()
    if maps is not None:
        scan = attach_maps(scan, oversampled, maps)
    if undersampling is not None:
        mask = undersampling.make(scan.matrix, Path(path).name)
        described = undersampling.describe(mask)
        sampling = described if sampling == "fully sampled" else f"{described}, on top of the {sampling}"
        scan = scan.undersample(mask)
    return scan, sampling


def attach_maps(scan: Scan, oversampled: Scan, path: Path) -> Scan:
    """Give a scan the coil maps of a file.

    Parameters
    ----------
    scan : Scan
        To be reconstructed.
    oversampled : Scan
        The same before its readout oversampling was removed: maps of its matrix are cut to that of `scan`.
    path : Path
        HDF5 file with the data set `maps`; or any file that `kascade.data.load` reads, its array being maps, (coil,
        rows, columns) for all slices or (slices, coil, rows, columns); or a folder with such an HDF5 file for each
        scan, named as the scan is.

    Returns
    -------
    Scan

    Raises
    ------
    FileFormatError
        If there are no maps to read.
    ShapeError
        If they do not fit the scan.
    """
    if path.is_dir():
        path = path / f"{result_name(scan.path or scan.name)}.h5"
    source = _maps_source(path, len(scan))
    stack = Slices(source, torch.complex64, f"{path}: maps")
    if stack.shape[-2] == oversampled.matrix[0] != scan.matrix[0]:
        return replace(oversampled, maps=stack).without_oversampling()
    return replace(scan, maps=stack)


def _maps_source(path: Path, slices: int) -> SliceSource:
    if is_hdf5(path):
        return read_maps(path, slices)
    try:
        held = load(path)
    except FileFormatError:
        held = load(path, "coil,rows,columns")  # three axes can mean several things in k-space, but not in maps
    return held.kspace if len(held) > 1 else SharedSource(held.kspace[0], slices)
