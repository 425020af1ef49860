"""NIfTI volumes in and out, through nibabel: geometry kept, damage named."""

# mypy: untyped-calls-exclude="nibabel"
# (nibabel's typing is partial: many of its functions carry no annotations)

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from kascade.data.atomic import atomic_output, refuse_existing
from kascade.data.formats.arrays import one_line
from kascade.errors import ConfigError, FileFormatError, ShapeError

__all__ = ["Volume", "check_suffix", "is_nifti", "read_volume", "stem", "write_slices", "write_volume"]

_SUFFIXES = (".nii", ".nii.gz")
_MAX_DEFLATE_RATIO = 1032  # deflate cannot shrink anything further, so a header that promises more bytes is wrong
_MAX_SHEAR = 1e6  # condition number of a direction matrix beyond which it is singular for float32 headers
_DAMAGE = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error)


@dataclass(frozen=True)
class Volume:
    """One 3-D image and its place in the scanner.

    Attributes
    ----------
    data : Tensor
        float32, shape (x, y, z), without NaN or Inf.
    affine : Tensor
        float64, shape (4, 4): voxel indices to millimeters in RAS+ coordinates.
    spacing_mm : tuple of float
        Voxel size along the three axes of `data`.
    orientation : str
        Directions in which the axes of `data` run, such as ``RAS``; ``???`` where the file does not say.
    problems : tuple of str
        What was found wrong and how it was handled, one line each.
    name : str
        File name without its suffix.
    """

    data: Tensor
    affine: Tensor
    spacing_mm: tuple[float, float, float]
    orientation: str = "RAS"
    problems: tuple[str, ...] = ()
    name: str = "volume"

    def magnitudes(self) -> Volume:
        """The same with negative voxels at 0, which `problems` then tells."""
        negative = int((self.data < 0).sum())
        told = (f"{negative} voxels are negative: taken for 0",) if negative else ()
        return replace(self, data=self.data.clamp(min=0), problems=(*self.problems, *told))

    def farthest(self, change: Tensor) -> float:
        """How far `change`, a difference of affines (4, 4), moves any voxel along an axis, in units of the change."""
        reach = torch.tensor([*self.data.shape, 1], dtype=torch.float64)
        return float((change.abs() * reach).sum(1).max())

    def axial_slices(self) -> Tensor:
        """Show a RAS+ volume as radiologists do: slices from feet to head, nose up, patient's right on the left.

        Returns
        -------
        Tensor
            Shape (slices, rows, columns) = (z, y, x), rows from anterior to posterior, columns from right to left.
        """
        return self.data.permute(2, 1, 0).flip(1, 2)


def read_volume(path: str | os.PathLike[str], canonical: bool = True) -> Volume:
    """Read a 3-D NIfTI file; intensity scaling (``scl_slope``, ``scl_inter``) is applied.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file. A fourth axis of length 1 is dropped, a missing third one added.
    canonical : bool
        Permute and flip the axes so that they run closest to right, anterior, superior (RAS+), with the affine
        adapted. False keeps the order of the file. A file without an affine is never reoriented.

    Returns
    -------
    Volume
        NaN and Inf voxels are 0 in it, and named in `problems`, as is a missing affine.

    Raises
    ------
    FileFormatError
        For a file that is absent, truncated, no NIfTI, not 3-D, complex, RGB or without one finite voxel.
    """
    path = Path(path)
    problems: list[str] = []
    with _repairs_noted(problems), np.errstate(over="ignore", invalid="ignore"):
        image = _open(path)
        _check_shape(path, image)
        array = _voxels(path, image).reshape(image.shape[:3] + (1,) * (3 - len(image.shape)))
    affine = np.array(image.affine, dtype=np.float64)
    located = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    if not located:
        problems.append("no affine (sform and qform code 0): orientation unknown, only the voxel size is used")
    spacing = _spacing(path, affine)
    if located and np.linalg.cond(affine[:3, :3] / spacing) > _MAX_SHEAR:
        raise FileFormatError(f"{path}: the affine is singular; repair the sform or qform of the file")
    if located and canonical:
        array, affine = _to_ras(array, affine)
    bad = int(array.size - np.isfinite(array).sum())
    if bad == array.size:
        raise FileFormatError(f"{path}: no voxel is finite; expected an image")
    if bad:
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        problems.append(f"{bad} of {array.size} voxels are NaN or Inf: set to 0")
    if not array.any():
        problems.append("every voxel is 0")
    return Volume(
        data=torch.from_numpy(np.ascontiguousarray(array)),
        affine=torch.from_numpy(affine),
        spacing_mm=_spacing(path, affine),
        orientation=_orientation(affine) if located else "???",
        problems=tuple(problems),
        name=stem(path),
    )


def is_nifti(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends as those of NIfTI files do: in ``.nii`` or ``.nii.gz``."""
    return Path(path).name.endswith(_SUFFIXES)


def stem(path: str | os.PathLike[str]) -> str:
    """The name of a NIfTI file without its suffix."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse a path that does not end as NIfTI files do; to be called before long work begins.

    Raises
    ------
    ConfigError
        If it ends in neither ``.nii`` nor ``.nii.gz``.
    """
    if not is_nifti(path):
        raise ConfigError(f"{path}: a NIfTI file must end in .nii or .nii.gz")


def write_volume(
    path: str | os.PathLike[str],
    data: Tensor,
    *,
    affine: ArrayLike | Tensor | None = None,
    spacing_mm: Sequence[float] | None = None,
    like: Volume | None = None,
    force: bool = False,
) -> None:
    """Write a real 3-D tensor as float32 NIfTI, whole or not at all.

    Exactly one of `affine`, `spacing_mm`, `like` says where the voxels are.

    Parameters
    ----------
    path : path
        Ends in ``.nii`` or ``.nii.gz``.
    data : Tensor
        Real, shape (x, y, z).
    affine : array, optional
        Shape (4, 4): voxel indices to RAS+ millimeters.
    spacing_mm : three floats, optional
        Voxel size, where the orientation is unknown: sform and qform code are then 0, no orientation is invented.
    like : Volume, optional
        Take the geometry of this volume; the shapes must be equal.
    force : bool
        Replace an existing file.

    Raises
    ------
    ConfigError
        If not exactly one geometry is given, it makes no sense, or the suffix is another.
    ShapeError
        If `data` is not a real 3-D tensor or differs in shape from `like`.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    import nibabel as nib

    path = Path(path)
    check_suffix(path)
    if data.ndim != 3 or data.is_complex():
        raise ShapeError(f"write_volume: data is {data.dtype} of shape {tuple(data.shape)}; expected real (x, y, z)")
    if sum(given is not None for given in (affine, spacing_mm, like)) != 1:
        raise ConfigError("write_volume: give exactly one of affine, spacing_mm, like")
    if like is not None:
        if data.shape != like.data.shape:
            raise ShapeError(f"write_volume: data {tuple(data.shape)} differs from like {tuple(like.data.shape)}")
        affine, spacing_mm = (like.affine, None) if like.orientation != "???" else (None, like.spacing_mm)
    array = data.detach().to("cpu", torch.float32).numpy()
    image = nib.Nifti1Image(array, None if affine is None else _checked_affine(affine))
    image.header.set_xyzt_units("mm")
    if spacing_mm is not None:
        image.header.set_zooms(_checked_spacing(spacing_mm))
    else:
        image.set_qform(image.affine, code="scanner")
        image.set_sform(image.affine, code="scanner")
    _save(path, image, force)


def write_slices(
    path: str | os.PathLike[str], images: Tensor, spacing_mm: Sequence[float], force: bool = False
) -> None:
    """Write a reconstruction as NIfTI, its axes reversed to (columns, rows, slices); no orientation is claimed.

    Parameters
    ----------
    path : path
        Ends in ``.nii`` or ``.nii.gz``.
    images : Tensor
        Real, shape (slices, rows, columns).
    spacing_mm : three floats
        Distance of slices, of rows and of columns, in the order of the axes of `images`.
    force : bool
        Replace an existing file.

    Raises
    ------
    ConfigError, ShapeError, OutputError
        As `write_volume`.
    """
    if images.ndim != 3:
        raise ShapeError(f"write_slices: images have shape {tuple(images.shape)}; expected (slices, rows, columns)")
    write_volume(path, images.permute(2, 1, 0), spacing_mm=tuple(spacing_mm)[::-1], force=force)


@contextmanager
def _repairs_noted(problems: list[str]) -> Iterator[None]:
    """Collect what nibabel says of headers it repairs, instead of letting it print."""
    from nibabel.imageglobals import logger

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            problems.append(f"header: {record.getMessage()}")

    printing, collect = list(logger.handlers), Collect(logging.WARNING)
    logger.handlers[:] = [collect]
    try:
        yield
    finally:
        logger.handlers[:] = printing


def _open(path: Path) -> Any:
    """Read the header only."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if not path.is_file():
        raise FileFormatError(f"{path}: no such file; expected a NIfTI volume (.nii or .nii.gz)")
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, *_DAMAGE) as error:
        raise FileFormatError(f"{path}: not a readable NIfTI volume ({one_line(error)})") from error
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair):
        raise FileFormatError(f"{path}: a {type(image).__name__}, expected NIfTI; convert it to .nii.gz first")
    return image


def _check_shape(path: Path, image: Any) -> None:
    """Refuse what is no 3-D real volume, and a header that promises more than the file can hold."""
    shape = tuple(int(n) for n in image.shape)
    dtype = image.header.get_data_dtype()
    if len(shape) < 2 or min(shape) < 1 or any(n != 1 for n in shape[3:]):
        raise FileFormatError(f"{path}: shape {shape} is not 3-D; extract one volume first, such as fslroi IN OUT 0 1")
    if dtype.kind not in "iuf":
        kind = "complex" if dtype.kind == "c" else "RGB or another compound"
        raise FileFormatError(f"{path}: voxels are {kind} ({dtype}); expected a real magnitude image")
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    held = Path(image.file_map["image"].filename).stat().st_size
    if needed > held * (_MAX_DEFLATE_RATIO if path.name.endswith(".gz") else 1):
        raise FileFormatError(f"{path}: truncated, {held} bytes cannot hold {shape} {dtype}; copy the file again")


def _voxels(path: Path, image: Any) -> NDArray[np.float32]:
    """Scaled voxels as float32; what float32 cannot hold becomes Inf and is reported with the NaN."""
    try:
        return np.asarray(image.get_fdata(caching="unchanged", dtype=np.float32))
    except _DAMAGE as error:
        raise FileFormatError(
            f"{path}: truncated or damaged voxels ({one_line(error)}); copy the file again"
        ) from error


def _to_ras(array: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Permute and flip to the axes closest to right, anterior, superior."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(affine)
    return apply_orientation(array, orientation), affine @ inv_ornt_aff(orientation, array.shape)


def _orientation(affine: NDArray[np.float64]) -> str:
    from nibabel.orientations import aff2axcodes

    return "".join(aff2axcodes(affine))


def _spacing(path: Path, affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Voxel size: the column norms of the affine, which for a file without one is made of pixdim."""
    with np.errstate(over="ignore", invalid="ignore"):
        zooms = tuple(float(n) for n in np.linalg.norm(affine[:3, :3], axis=0))
    if not np.isfinite(affine).all() or not all(np.isfinite(n) and n > 0 for n in zooms):
        raise FileFormatError(f"{path}: voxel size {zooms} mm, or its affine, makes no sense; repair the header")
    return zooms[0], zooms[1], zooms[2]


def _checked_affine(affine: ArrayLike | Tensor) -> NDArray[np.float64]:
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ConfigError(f"write_volume: affine has shape {matrix.shape}; expected (4, 4)")
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix[:3, :3]) < 3:
        raise ConfigError("write_volume: affine is singular or not finite")
    return matrix


def _checked_spacing(spacing_mm: Sequence[float]) -> tuple[float, ...]:
    spacing = tuple(float(n) for n in spacing_mm)
    if len(spacing) != 3 or not all(np.isfinite(n) and n > 0 for n in spacing):
        raise ConfigError(f"write_volume: spacing_mm is {spacing}; expected three positive numbers")
    return spacing


def _save(path: Path, image: Any, force: bool) -> None:
    """Write whole or not at all; equal volumes give equal bytes, for no time is stored."""
    refuse_existing(path, force)
    content = image.to_bytes()
    with atomic_output(path, force) as beside:
        beside.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
