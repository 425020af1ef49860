"""From files of images to files of simulated k-space: what `kascade simulate` calls."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.data.atomic import refuse_existing
from kascade.data.folder import visible_files
from kascade.data.formats.fastmri_write import write_scan
from kascade.data.formats.hdf5 import check_file
from kascade.data.scan import Scan
from kascade.data.simulation.motion import moving_scan
from kascade.data.simulation.simulate import simulate_head, simulate_scan, simulate_volume
from kascade.errors import ConfigError, FileFormatError

__all__ = ["PHANTOM", "image_files", "image_name", "simulate_file"]

PHANTOM = "phantom"
_NIFTI = (".nii.gz", ".nii")
_SUFFIXES = (*_NIFTI, ".npy")


def image_name(path: str | os.PathLike[str]) -> str:
    """File name without the suffix of an image format."""
    name = Path(path).name
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def image_files(folder: Path) -> list[Path]:
    """NIfTI and npy files of a folder, hidden ones left out.

    Raises
    ------
    FileFormatError
        If the folder cannot be listed or holds none.
    """
    found = [path for path in visible_files(folder) if path.name.endswith(_SUFFIXES)]
    if not found:
        raise FileFormatError(f"{folder}: no images in this folder; expected files {', '.join(_SUFFIXES)}")
    return found


def simulate_file(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    slices: str | None = None,
    shape: tuple[int, int, int] = (8, 256, 256),
    contrast: str = "t1",
    orientation: str = "axial",
    store_maps: bool = False,
    motion: str | None = None,
    shots: int = 16,
    order: str = "interleaved",
    force: bool = False,
    **options: Any,
) -> Scan:
    """Simulate a scan and write it as fastMRI-style HDF5.

    Parameters
    ----------
    source : path
        NIfTI volume; npy array of images, (slices, rows, columns) or (rows, columns); or ``phantom``,
        the built-in head.
    path : path
        File to write.
    slices : str, optional
        ``A:B``: only slices A to B - 1.
    shape : tuple of int
        Slices, rows and columns of the phantom.
    contrast : str
        Contrast of the phantom, see `kascade.data.simulation.phantom.CONTRASTS`.
    orientation : str
        How slices of a NIfTI volume or array lie: ``axial``, ``coronal`` or ``sagittal``.
    store_maps : bool
        Store the true coil maps; methods then use them instead of calibrating.
    motion : str, optional
        Let the head move between shots: one of `kascade.data.simulation.trajectory.SEVERITIES`. The file then has its
        shots and motion, the image without motion as target, and coil maps of a calibration without motion.
    shots, order
        Of a moving head, as for `kascade.data.simulation.motion.moving_scan`.
    force : bool
        Replace an existing file.
    **options
        Further arguments of `kascade.data.simulate_scan`: coils, snr, seed, readout_oversampling, ...

    Returns
    -------
    Scan
        As it was written.

    Raises
    ------
    FileFormatError
        If `source` cannot be read.
    ConfigError
        If an option has no meaning.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    refuse_existing(path, force)
    if os.fspath(source) == PHANTOM:
        scan = simulate_head(shape, contrast=contrast, **options)
    elif Path(source).name.endswith(".npy"):
        images = _read_images(Path(source))
        scan = simulate_scan(images, orientation=orientation, name=image_name(source), **options)
    else:
        check_file(Path(source))
        scan = simulate_volume(source, slices=slices, orientation=orientation, **options)
        slices = None
    if motion is not None:
        scan = moving_scan(scan, motion, shots, order, options.get("seed", 0), store_maps)
    if slices is not None:
        scan = scan.slices(*_parse(slices, len(scan)))
    if not store_maps and motion is None:
        scan = replace(scan, maps=None)
    write_scan(scan, path, force)
    return scan


def _parse(slices: str, count: int) -> tuple[int, int]:
    try:
        first, last = slices.split(":")
        return int(first or 0), int(last or count)
    except ValueError:
        raise ConfigError(f"slices {slices!r}: expected A:B, two slice numbers") from None


def _read_images(path: Path) -> NDArray[Any]:
    check_file(path)
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileFormatError(f"{path}: not a readable npy array ({' '.join(str(error).split())})") from error
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "iufc":
        raise FileFormatError(f"{path}: expected one array of numbers, (slices, rows, columns)")
    return images if images.dtype.kind == "c" else images.astype(np.float32)
