"""fastMRI's HDF5 files: the writer. It streams slice by slice; a file appears whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from kascade.data.formats.fastmri_h5 import MOTION_UNITS
from kascade.data.formats.hdf5_output import H5Output, create_hdf5
from kascade.data.formats.header_xml import format_header
from kascade.data.scan import Scan
from kascade.data.slices import Slices
from kascade.errors import ConfigError, ShapeError

__all__ = ["write_maps", "write_reconstruction", "write_scan"]

_NUMPY = {torch.complex64: np.complex64, torch.float32: np.float32}


def write_scan(scan: Scan, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a scan as a fastMRI file, which the fastmri package's ``SliceDataset`` reads.

    k-space is stored as `kspace`, (slices, coil, rows, columns), of one coil as (slices, rows, columns); a 1-D mask as
    `mask`, a 2-D one (which fastMRI does not know) as `kascade_mask`; the target as `reconstruction_rss` or
    `reconstruction_esc` with the attributes `max` and `norm`; a header whose matrix and limits fit; and `maps`,
    `shot`, `motion` (attribute ``units="px,deg"``), `noise`, `noise_covariance` where the scan has them.

    Parameters
    ----------
    scan : Scan
        Read one slice at a time.
    path : path
        File to write.
    force : bool
        Replace an existing file, which may be the one that `scan` is read from.

    Raises
    ------
    OutputError
        If the file exists (and not `force`) or cannot be written; nothing is left behind then.
    FileFormatError
        If a slice of `scan` cannot be read; nothing is left behind then.
    ConfigError
        If an attribute is nothing that HDF5 can store.
    """
    with create_hdf5(path, force) as output:
        file = output.file
        file["ismrmrd_header"] = format_header(scan.header, scan.kspace.shape)
        _write_attributes(
            file,
            {"acquisition": scan.header.protocol or "unknown", "patient_id": scan.name, **scan.attributes},
        )
        _write_slices(output, "kspace", scan.kspace, squeeze_coil=scan.coils == 1)
        if scan.targets is not None:
            _write_target(output, scan.target_name, scan.targets)
        if scan.maps is not None:
            _write_slices(output, "maps", scan.maps)
        if scan.mask is not None:
            file["mask" if scan.mask.ndim == 1 else "kascade_mask"] = scan.mask.cpu().numpy()
        for name, tensor in (
            ("shot", scan.shots),
            ("motion", scan.motion),
            ("noise", scan.noise),
            ("noise_covariance", scan.noise_covariance),
        ):
            if tensor is not None:
                file[name] = tensor.cpu().numpy()
        if scan.motion is not None:
            file["motion"].attrs["units"] = MOTION_UNITS


def write_reconstruction(
    path: str | os.PathLike[str],
    images: Tensor | Iterable[Tensor],
    complex_values: bool = False,
    force: bool = False,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write images as fastMRI submissions are: data set `reconstruction`, (slices, rows, columns).

    Parameters
    ----------
    path : path
        File to write.
    images : Tensor or iterable of Tensor
        (slices, rows, columns), or one (rows, columns) after the other: then one at a time is held in memory.
    complex_values : bool
        Store complex64 instead of the magnitude as float32.
    force : bool
        Replace an existing file.
    attributes : mapping, optional
        Attributes of the file.

    Raises
    ------
    ShapeError
        If there is no image, or they are not 2-D and of one shape; nothing is left behind then.
    OutputError
        If the file exists (and not `force`) or cannot be written; nothing is left behind then.
    ConfigError
        If an attribute is nothing that HDF5 can store.
    """
    dtype = torch.complex64 if complex_values else torch.float32
    _write_stream(path, "reconstruction", images, dtype, (2,), force, attributes)


def write_maps(path: str | os.PathLike[str], maps: Tensor | Iterable[Tensor], force: bool = False) -> None:
    """Write coil maps: data set `maps`, complex64, (slices, [set,] coil, rows, columns).

    Parameters
    ----------
    path : path
        File to write.
    maps : Tensor or iterable of Tensor
        (slices, [set,] coil, rows, columns), or the maps of one slice after the other.
    force : bool
        Replace an existing file.

    Raises
    ------
    ShapeError, OutputError
        As `write_reconstruction`.
    """
    _write_stream(path, "maps", maps, torch.complex64, (3, 4), force, None)


def _write_slices(output: H5Output, name: str, slices: Slices, squeeze_coil: bool = False) -> None:
    shape = (slices.shape[0], *slices.shape[2:]) if squeeze_coil else slices.shape
    dataset = output.file.create_dataset(name, shape=shape, dtype=_NUMPY[slices.dtype])
    for index in range(len(slices)):
        dataset[index] = slices[index].reshape(shape[1:]).cpu().numpy()
        output.check()


def _write_target(output: H5Output, name: str, targets: Slices) -> None:
    """Write the target with the volume's maximum and norm, which fastMRI's metrics and transforms read."""
    dataset = output.file.create_dataset(name, shape=targets.shape, dtype=np.float32)
    largest, energy = -math.inf, 0.0
    for index, image in enumerate(targets):
        dataset[index] = image.cpu().numpy()
        output.check()
        largest = max(largest, float(image.max()))
        energy += float(image.double().square().sum())
    _write_attributes(output.file, {"max": largest, "norm": math.sqrt(energy)})


def _write_attributes(file: h5py.File, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        try:
            file.attrs[name] = value
        except TypeError as error:
            raise ConfigError(
                f"attribute {name!r} is a {type(value).__name__}, which HDF5 cannot store; expected text or numbers"
            ) from error


def _write_stream(
    path: str | os.PathLike[str],
    name: str,
    items: Tensor | Iterable[Tensor],
    dtype: torch.dtype,
    ranks: tuple[int, ...],
    force: bool,
    attributes: Mapping[str, Any] | None,
) -> None:
    """Write tensors of one shape, whose number need not be known, as one data set that grows."""
    with create_hdf5(path, force) as output:
        dataset: h5py.Dataset | None = None
        for count, item in enumerate(items):
            shape = tuple(item.shape)
            if dataset is None:
                if item.ndim not in ranks or min(shape) < 1:
                    raise ShapeError(f"{name}: a slice has shape {shape}; expected {' or '.join(map(str, ranks))} axes")
                dataset = output.file.create_dataset(
                    name, shape=(0, *shape), maxshape=(None, *shape), chunks=(1, *shape), dtype=_NUMPY[dtype]
                )
            elif shape != dataset.shape[1:]:
                raise ShapeError(f"{name}: slice {count} has shape {shape}, those before have {dataset.shape[1:]}")
            dataset.resize(count + 1, axis=0)
            values = item.detach().abs() if item.is_complex() and dtype == torch.float32 else item.detach()
            dataset[count] = values.to(dtype).cpu().numpy()
            output.check()
        if dataset is None:
            raise ShapeError(f"{name}: no slice was given; expected at least one")
        _write_attributes(output.file, attributes or {})
