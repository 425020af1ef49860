"""ISMRMRD raw data: readouts in the order of acquisition, sorted into k-space slice by slice."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.formats.arrays import ArraySource, LoadedArray
from kascade.data.formats.axes import AXES
from kascade.data.formats.hdf5 import check_storage, is_hdf5, local_dataset, open_hdf5
from kascade.data.formats.header_xml import parse_header
from kascade.data.formats.ismrmrd_lines import Grid, Kinds, Lines, classify, place, require_one_image, separable_mask
from kascade.data.header import Header
from kascade.data.scan import Scan
from kascade.data.slices import SliceSource
from kascade.errors import ConfigError, FileFormatError, MissingExtraError
from kascade.physics.fourier import ifft

__all__ = ["matches", "read"]

_MAX_SAMPLES = 1 << 29  # of one coil; a header that says more is damaged
_DEFAULT_GROUP = "dataset"


def matches(path: str | os.PathLike[str]) -> bool:
    """Whether the file is HDF5 with a group that holds an ISMRMRD header (`xml`) or acquisitions (`data`)."""
    if not is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return "kspace" not in file and bool(_groups(file))
    except (OSError, KeyError, RuntimeError, ValueError):
        return False


def read(path: str | os.PathLike[str], axes: str | None = None) -> Scan:
    """Read ISMRMRD raw data (Inati et al., Magn Reson Med 77:411, 2017) of one Cartesian image.

    Noise readouts become `Scan.noise`, scaled to the bandwidth of the image. Calibration lines are part of the image
    unless they come from a separate scan; reversed readouts are flipped; lines acquired several times are averaged;
    navigators and the like are left out. A 3-D scan is transformed along its second phase encoding, and its
    partitions are the slices.

    Parameters
    ----------
    path : path
        The HDF5 file.
    axes : None
        The format names its axes itself.

    Returns
    -------
    Scan
        Rows and columns have the header's encoded matrix, `mask` is None where all columns within the encoding
        limits were acquired. Its notes say what was left out or averaged.

    Raises
    ------
    FileFormatError
        If the file is damaged, holds no image or several, or is not Cartesian.
    MissingExtraError
        If the ismrmrd package is not installed.
    ConfigError
        If `axes` is given.
    """
    path = Path(path)
    _require_package()
    if axes is not None:
        raise ConfigError(f"axes {axes!r}: {path} is ISMRMRD raw data, which names its axes itself; leave --axes out")
    where = str(path)
    with open_hdf5(path) as file:
        group = _pick_group(file, where)
        xml, head = _xml(file, group, where), _acquisitions(file, group, where).fields("head")[:]
    root = _parse(xml, where)
    kinds = classify(head, root.findtext("{*}encoding/{*}parallelImaging/{*}calibrationMode"))
    if not len(kinds.image):
        listed = ", ".join(f"{count} {kind}" for kind, count in {"noise": len(kinds.noise), **kinds.left_out}.items())
        raise FileFormatError(f"{where}: none of its {len(head)} readouts is of an image ({listed})")
    image = head[kinds.image]
    require_one_image(image, where)
    header, grid = _encoding(root, image, where)
    lines = place(image, kinds.image, grid, where)
    mask = separable_mask(lines, grid, where)
    coils = np.unique(image["active_channels"])
    if len(coils) > 1 or coils[0] < 1:
        raise FileFormatError(f"{where}: readouts of {', '.join(map(str, coils))} coils; expected one number of coils")
    readouts = _Readouts(path, group, int(coils[0]))
    noise = _noise(readouts, kinds.noise, head, image)
    return Scan.from_source(
        _source(readouts, lines, grid),
        name=path.stem,
        path=path,
        mask=_stored_mask(mask, header),
        noise=noise,
        header=header,
        notes=_notes(kinds, lines, grid, noise is not None),
    )


def _require_package() -> None:
    try:
        import ismrmrd  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ismrmrd", "io", "reading ISMRMRD raw data") from error


def _groups(file: h5py.File) -> list[str]:
    """List the groups of the file itself (no links out of it) that look like ISMRMRD."""
    local = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    groups = [name for name in local if isinstance(file[name], h5py.Group)]
    return [name for name in groups if "xml" in file[name] or _is_acquisitions(file[name].get("data"))]


def _is_acquisitions(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and {"head", "data"} <= set(item.dtype.names or ())


def _pick_group(file: h5py.File, where: str) -> str:
    groups = _groups(file)
    if _DEFAULT_GROUP in groups:
        return _DEFAULT_GROUP
    if len(groups) != 1:
        raise FileFormatError(f"{where}: {len(groups)} ISMRMRD groups ({', '.join(groups[:8])}); expected one")
    return groups[0]


def _xml(file: h5py.File, group: str, where: str) -> bytes:
    item = local_dataset(file, f"{group}/xml")
    if item is None or item.size is None or item.size < 1:
        raise FileFormatError(f"{where}: no ISMRMRD header (data set xml); without it readouts cannot be placed")
    value = item[()] if item.shape == () else item[:1].flat[0]
    return value.encode() if isinstance(value, str) else bytes(value)


def _acquisitions(file: h5py.File, group: str, where: str) -> h5py.Dataset:
    """Table of readouts, through the ismrmrd package."""
    from ismrmrd.file import Container
    from ismrmrd.hdf5 import acquisition_header_dtype

    item = local_dataset(file, f"{group}/data")
    if item is None or not item.size:
        raise FileFormatError(f"{where}: holds no acquisitions; expected raw data, not images")
    if not _is_acquisitions(item) or not _same_fields(item.dtype["head"], acquisition_header_dtype):
        raise FileFormatError(f"{where}: {group}/data has another layout than ISMRMRD acquisitions")
    check_storage(item, f"{where}: {group}/data")
    return Container(file[group]).acquisitions.data


def _same_fields(found: np.dtype[Any], expected: np.dtype[Any]) -> bool:
    """Whether a compound type has the fields of another, wherever they lie in memory."""
    if expected.names is None:
        return found == expected
    if not set(expected.names) <= set(found.names or ()):
        return False
    return all(_same_fields(found[name], expected[name]) for name in expected.names)


def _parse(xml: bytes, where: str) -> Element:
    from defusedxml.ElementTree import fromstring

    parse_header(xml, f"{where}: xml")  # refuses what is unsafe or no header
    root: Element = fromstring(xml, forbid_dtd=True)
    return root


def _encoding(root: Element, image: NDArray[Any], where: str) -> tuple[Header, Grid]:
    """Header and grid of the encoding space in which the image was acquired."""
    encodings, chosen = root.findall("{*}encoding"), int(image["encoding_space_ref"][0])
    if chosen >= len(encodings):
        raise FileFormatError(f"{where}: readouts of encoding space {chosen}, but the header has {len(encodings)}")
    for number, encoding in enumerate(encodings):
        if number != chosen:
            root.remove(encoding)
    header = parse_header(tostring(root), f"{where}: xml")
    trajectory = (root.findtext("{*}encoding/{*}trajectory") or "cartesian").strip().lower()
    if trajectory not in ("cartesian", "epi"):
        raise FileFormatError(f"{where}: trajectory is {trajectory}; expected Cartesian k-space")
    if header.encoded_matrix is None or math.prod(header.encoded_matrix) > _MAX_SAMPLES:
        raise FileFormatError(
            f"{where}: encoded matrix is {header.encoded_matrix}; expected up to {_MAX_SAMPLES} samples"
        )
    rows, columns, partitions = header.encoded_matrix
    if len(np.unique(image["idx"]["kspace_encode_step_2"])) == 1:
        partitions = 1  # 2-D, though some headers count slices here
    elif len(np.unique(image["idx"]["slice"])) > 1:
        raise FileFormatError(f"{where}: several 3-D slabs; expected one 3-D volume or 2-D slices")
    limits = "{*}encoding/{*}encodingLimits/{*}kspace_encoding_step_2/{*}center"
    second = (
        int(root.findtext(limits) or partitions // 2)
        if partitions > 1
        else int(image["idx"]["kspace_encode_step_2"][0])
    )
    first = columns // 2 if header.phase_limits is None else header.phase_limits[1]
    return header, Grid(rows, columns, partitions, (first, second))


@dataclass(frozen=True)
class _Readouts:
    """Samples of readouts by their position in the file, which is open while they are read only."""

    path: Path
    group: str
    coils: int

    def read(self, index: NDArray[Any], samples: NDArray[Any]) -> Iterator[NDArray[np.complex64]]:
        """Readouts `index` (increasing), of so many `samples`, as (coil, samples)."""
        with open_hdf5(self.path) as file:
            table = _acquisitions(file, self.group, str(self.path)).fields("data")
            for run in np.split(np.arange(len(index)), np.flatnonzero(np.diff(index) != 1) + 1):
                for position, values in zip(run, table[index[run[0]] : index[run[-1]] + 1], strict=True):
                    if values.size != 2 * self.coils * samples[position]:
                        raise FileFormatError(
                            f"{self.path}: readout {index[position]} holds {values.size} numbers; expected "
                            f"{self.coils} coils x {samples[position]} complex samples"
                        )
                    yield np.ascontiguousarray(values, np.float32).view(np.complex64).reshape(self.coils, -1)

    def volume(self, lines: Lines, grid: Grid) -> NDArray[np.complex64]:
        """Sort `lines` into k-space (partitions, coil, rows, columns); repeated samples are averaged."""
        kspace = np.zeros((grid.partitions, self.coils, grid.rows, grid.columns), np.complex64)
        for line, values in enumerate(self.read(lines.index, lines.samples)):
            values = values[:, ::-1] if lines.reverse[line] else values
            first, last, row = lines.first[line], lines.last[line], lines.row[line]
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and Inf are refused later, by slice
                kspace[lines.partition[line], :, row : row + last - first, lines.column[line]] += values[:, first:last]
        kspace /= np.maximum(lines.counts(grid), 1)[:, None]
        return kspace


@dataclass(frozen=True, eq=False)
class _SliceSource:
    """2-D slices, each sorted when it is asked for."""

    readouts: _Readouts
    lines: Lines
    grid: Grid
    shape: tuple[int, ...]

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.readouts.volume(self.lines.of_slice(index), self.grid)[0])


def _hybrid(readouts: _Readouts, lines: Lines, grid: Grid) -> NDArray[np.complex64]:
    """3-D k-space, transformed to image space along partitions."""
    kspace = torch.from_numpy(readouts.volume(lines, grid))
    return np.asarray(ifft(kspace, axes=(0,)).numpy())


def _source(readouts: _Readouts, lines: Lines, grid: Grid) -> SliceSource:
    if grid.partitions == 1:
        shape = (int(lines.slice.max()) + 1, readouts.coils, grid.rows, grid.columns)
        return _SliceSource(readouts, lines, grid, shape)
    shape = (grid.partitions, readouts.coils, grid.rows, grid.columns)
    return ArraySource(LoadedArray(shape, np.dtype(np.complex64), partial(_hybrid, readouts, lines, grid)), AXES)


def _stored_mask(acquired: NDArray[np.bool_], header: Header) -> NDArray[np.bool_] | None:
    """Mask in its smallest form: None if nothing within the encoding limits is missing."""
    left, right = header.padding(acquired.shape[1])
    if acquired[:, left:right].all():
        return None
    columns = np.asarray(acquired.any(axis=0))
    return columns if np.array_equal(acquired, np.broadcast_to(columns, acquired.shape)) else acquired


def _noise(
    readouts: _Readouts, index: NDArray[np.intp], head: NDArray[Any], image: NDArray[Any]
) -> NDArray[np.complex64] | None:
    """Noise samples (coil, samples), scaled to the bandwidth of the image: their variance goes with 1 / dwell time."""
    index = index[head["active_channels"][index] == readouts.coils]
    if not len(index):
        return None
    noise = np.concatenate(list(readouts.read(index, head["number_of_samples"][index].astype(np.int64))), axis=1)
    dwell, of_image = float(head["sample_time_us"][index[0]]), float(image["sample_time_us"][0])
    if dwell > 0 and of_image > 0:
        noise *= np.float32(np.sqrt(dwell / of_image))
    return noise


def _notes(kinds: Kinds, lines: Lines, grid: Grid, noise_used: bool) -> list[str]:
    """Say what was done to the readouts."""
    notes = [f"{count} {kind} readouts are left out" for kind, count in kinds.left_out.items()]
    if "phase-correction" in kinds.left_out and lines.reverse.any():
        notes.append("reversed readouts are flipped, but EPI phase correction is not applied: expect ghosts")
    if len(kinds.noise) and not noise_used:
        notes.append(f"{len(kinds.noise)} noise readouts have another number of coils than the image: left out")
    repeats = max(int(lines.of_slice(n).counts(grid).max()) for n in range(int(lines.slice.max()) + 1))
    if repeats > 1:
        notes.append(f"lines acquired up to {repeats} times are averaged")
    if grid.partitions > 1:
        notes.append(f"3-D: transformed along the second phase encoding, slices are its {grid.partitions} partitions")
    return notes
