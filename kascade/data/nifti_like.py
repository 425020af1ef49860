"""NIfTI volumes written as another file is: its axes, geometry, header and data type."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.atomic import atomic_output, refuse_existing
from kascade.data.nifti import Volume, check_suffix, read_volume
from kascade.errors import ShapeError

__all__ = ["write_like"]


def write_like(
    path: str | os.PathLike[str],
    data: Tensor,
    source: str | os.PathLike[str],
    *,
    as_float32: bool = False,
    force: bool = False,
) -> None:
    """Write a volume with the axes, affine, header and data type of the file that it was made from.

    Parameters
    ----------
    path : path
        Ends in ``.nii`` or ``.nii.gz``.
    data : Tensor
        Real, (x, y, z) as `read_volume(source)` gave it. Integer types are rounded, limited to what they hold, and
        stored by the slope and intercept of `source`.
    source : path
        NIfTI file.
    as_float32 : bool
        Store float32, whatever the data type of `source`.
    force : bool
        Replace an existing file.

    Raises
    ------
    ConfigError
        If the suffix is another.
    ShapeError
        If `data` has another shape than `read_volume(source)`.
    FileFormatError
        If `source` cannot be read.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    import nibabel as nib

    path = Path(path)
    check_suffix(path)
    refuse_existing(path, force)
    volume = read_volume(source)
    if data.shape != volume.data.shape:
        raise ShapeError(f"write_like: data {tuple(data.shape)}, but {source} has {tuple(volume.data.shape)}")
    original: Any = nib.load(source)
    header = original.header.copy()
    array = _in_file_order(data, volume, original).reshape(original.shape)
    if as_float32:
        header.set_data_dtype(np.float32)
    kind = header.get_data_dtype()
    if kind.kind in "iu":
        slope, intercept = original.dataobj.slope, original.dataobj.inter
        limits = np.iinfo(kind)
        array = np.clip(np.rint((array.astype(np.float64) - intercept) / slope), limits.min, limits.max)
    else:
        slope, intercept = 1.0, 0.0
    header["cal_min"] = header["cal_max"] = 0  # a display window of other gray values
    image = type(original)(array.astype(kind), original.affine, header)
    image.header.set_slope_inter(slope, intercept)
    content = image.to_bytes()
    with atomic_output(path, force) as beside:
        beside.write_bytes(gzip.compress(content, 6, mtime=0) if path.name.endswith(".gz") else content)


def _in_file_order(data: Tensor, volume: Volume, original: Any) -> NDArray[Any]:
    """Undo the reorientation of `read_volume`."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

    array = data.detach().cpu().numpy()
    if volume.orientation == "???":
        return array
    there = io_orientation(original.affine)
    shape = original.shape[:3] + (1,) * (3 - len(original.shape))
    here = io_orientation(original.affine @ inv_ornt_aff(there, shape))
    turned: NDArray[Any] = apply_orientation(array, ornt_transform(here, there))
    return turned
