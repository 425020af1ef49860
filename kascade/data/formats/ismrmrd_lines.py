"""Readouts of an ISMRMRD file: what each is for, and where in k-space it belongs. Headers only, no samples."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.errors import FileFormatError

__all__ = ["Grid", "Kinds", "Lines", "classify", "place", "require_one_image", "separable_mask"]

Ints = NDArray[np.int64]

# Flags of an acquisition, counted from 1 (ismrmrd.h).
_NOISE, _CALIBRATION, _CALIBRATION_AND_IMAGING, _REVERSE = 19, 20, 21, 22
_SKIPPED = {
    23: "navigator",
    24: "phase-correction",
    26: "feedback",
    27: "dummy",
    28: "feedback",
    29: "surface-coil-correction",
    30: "phase-stabilization",
    31: "phase-stabilization",
}


@dataclass(frozen=True)
class Grid:
    """The encoded k-space of the header.

    Attributes
    ----------
    rows, columns, partitions : int
        Samples along the readout, the first and the second phase encoding.
    center : tuple of int
        Step of the first and of the second phase encoding at k = 0.
    """

    rows: int
    columns: int
    partitions: int
    center: tuple[int, int]


@dataclass(frozen=True)
class Kinds:
    """Positions in the file of image and noise readouts, and how many of other kinds there are."""

    image: NDArray[np.intp]
    noise: NDArray[np.intp]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Lines:
    """The readouts of an image: arrays with one entry for each, in the order of the file.

    Attributes
    ----------
    index : ndarray
        Position in the file.
    slice, partition, column : ndarray
        Where it belongs; slices are counted from 0 without gaps.
    row, first, last : ndarray
        Samples `first` to `last` - 1, sorted by increasing row, belong into rows `row` and following.
    samples : ndarray
        Samples of the readout in the file.
    reverse : ndarray
        Whether they come in decreasing order of rows.
    """

    index: Ints
    slice: Ints
    partition: Ints
    column: Ints
    row: Ints
    first: Ints
    last: Ints
    samples: Ints
    reverse: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.index)

    def of_slice(self, number: int) -> Lines:
        """Take the readouts of one slice."""
        chosen = self.slice == number
        return Lines(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def counts(self, grid: Grid) -> NDArray[np.int32]:
        """How often each sample was acquired in all slices together, (partitions, rows, columns)."""
        counts = np.zeros((grid.partitions, grid.rows, grid.columns), np.int32)
        end = self.row + self.last - self.first
        for partition, column, row, stop in zip(self.partition, self.column, self.row, end, strict=True):
            counts[partition, row:stop, column] += 1
        return counts


def classify(head: NDArray[Any], calibration: str | None) -> Kinds:
    """Sort the readouts of a file by what they are for.

    Parameters
    ----------
    head : structured array
        Acquisition headers.
    calibration : str or None
        The header's calibrationMode. Lines flagged for calibration alone are part of the image, unless the mode says
        that they are a separate scan, or it says nothing and they lie in another encoding space or repeat lines of
        the image.

    Returns
    -------
    Kinds
    """
    noise = _flag(head, _NOISE)
    rest = ~noise
    left_out: dict[str, int] = {}
    for bit, name in _SKIPPED.items():
        found = rest & _flag(head, bit)
        rest &= ~found
        if found.any():
            left_out[name] = left_out.get(name, 0) + int(found.sum())
    only_calibration = rest & _flag(head, _CALIBRATION) & ~_flag(head, _CALIBRATION_AND_IMAGING)
    image = rest & ~only_calibration
    if only_calibration.any() and image.any() and _separate(head[image], head[only_calibration], calibration):
        rest = image
        left_out["separate calibration"] = int(only_calibration.sum())
    return Kinds(np.flatnonzero(rest), np.flatnonzero(noise), left_out)


def require_one_image(head: NDArray[Any], where: str) -> None:
    """Refuse readouts of several images: contrasts, phases, repetitions, sets or encoding spaces.

    Raises
    ------
    FileFormatError
        Listing what there is more than one of.
    """
    found = []
    for name in ("contrast", "phase", "repetition", "set", "encoding_space_ref"):
        values = np.unique(head[name] if name == "encoding_space_ref" else head["idx"][name])
        if len(values) > 1:
            shown = ", ".join(str(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")
            found.append(f"{len(values)} values of {name} ({shown})")
    if found:
        raise FileFormatError(f"{where}: holds several images: {'; '.join(found)}; expected one: split the file first")


def place(head: NDArray[Any], index: NDArray[np.intp], grid: Grid, where: str) -> Lines:
    """Find where in the grid readouts belong.

    A step of the phase encoding lies that many columns from the middle as it is away from the center step of the
    encoding limits (partial Fourier leaves one side empty). A readout shorter than the grid (asymmetric echo) is
    placed with its `center_sample` in the middle row.

    Parameters
    ----------
    head : structured array
        Acquisition headers of the image readouts.
    index : ndarray
        Their positions in the file.
    grid : Grid
        The encoded k-space.
    where : str
        File, for messages.

    Returns
    -------
    Lines

    Raises
    ------
    FileFormatError
        If a readout lies outside the grid.
    """
    samples, before, after, center = (
        head[name].astype(np.int64) for name in ("number_of_samples", "discard_pre", "discard_post", "center_sample")
    )
    reverse = _flag(head, _REVERSE)
    center = np.where(reverse, samples - 1 - center, center)
    before, after = np.where(reverse, after, before), np.where(reverse, before, after)
    # A readout as long as the grid fills it, whatever its center_sample: many converters leave that 0.
    start = np.where(samples == grid.rows, 0, grid.rows // 2 - center)
    column = head["idx"]["kspace_encode_step_1"].astype(np.int64) - grid.center[0] + grid.columns // 2
    partition = head["idx"]["kspace_encode_step_2"].astype(np.int64) - grid.center[1] + grid.partitions // 2
    for what, low, high, size in (
        ("rows", start, start + samples, grid.rows),
        ("column", column, column + 1, grid.columns),
        ("partition", partition, partition + 1, grid.partitions),
    ):
        outside = np.flatnonzero((low < 0) | (high > size))
        if len(outside):
            bad = outside[0]
            found = f"{low[bad]} to {high[bad] - 1}" if what == "rows" else f"{low[bad]}"
            raise FileFormatError(
                f"{where}: readout {index[bad]} lies at {what} {found}, outside the encoded matrix of {size}; "
                f"{len(outside)} of {len(index)} readouts do: matrix, encoding limits or center_sample are wrong"
            )
    if (before + after >= samples).any():
        raise FileFormatError(
            f"{where}: readout {index[np.argmax(before + after >= samples)]} discards all its samples"
        )
    slices = np.unique(head["idx"]["slice"], return_inverse=True)[1].reshape(-1)
    return Lines(
        index=index.astype(np.int64),
        slice=slices.astype(np.int64),
        partition=partition,
        column=column,
        row=start + before,
        first=before,
        last=samples - after,
        samples=samples,
        reverse=reverse,
    )


def separable_mask(lines: Lines, grid: Grid, where: str) -> NDArray[np.bool_]:
    """Find which samples were acquired, (rows, columns), the same in every slice.

    Raises
    ------
    FileFormatError
        If slices differ, or if partitions are missing in between: a transform along them would then alias.
    """
    acquired = [np.asarray(lines.of_slice(number).counts(grid) > 0) for number in range(int(lines.slice.max()) + 1)]
    masks = [np.asarray(counts.any(axis=0)) for counts in acquired]
    for number, mask in enumerate(masks):
        if not np.array_equal(mask, masks[0]):
            here, first = (int(m.any(axis=0).sum()) for m in (mask, masks[0]))
            raise FileFormatError(
                f"{where}: slice {number} was sampled otherwise than slice 0 ({here} and {first} columns); expected "
                "one sampling pattern: is the file complete?"
            )
    if grid.partitions > 1:
        present = np.asarray(acquired[0].any(axis=1))[:, masks[0].any(axis=0)]
        starts = (np.diff(present.astype(np.int8), axis=0, prepend=0) == 1).sum(axis=0)
        if (starts > 1).any() or not present[grid.partitions // 2].all():
            raise FileFormatError(
                f"{where}: undersampled along the second phase encoding; expected every partition in each column, so "
                "that slices can be separated"
            )
    return masks[0]


def _flag(head: NDArray[Any], bit: int) -> NDArray[np.bool_]:
    """Whether each acquisition carries flag `bit`, counted from 1."""
    return np.asarray(head["flags"].astype(np.uint64) & np.uint64(1 << (bit - 1)), dtype=np.bool_)


def _separate(image: NDArray[Any], calibration: NDArray[Any], mode: str | None) -> bool:
    """Whether calibration lines were acquired apart from the image."""
    if mode is not None:
        return mode.lower() in ("separate", "external")
    if not np.isin(calibration["encoding_space_ref"], image["encoding_space_ref"]).all():
        return True
    steps = ["slice", "kspace_encode_step_1", "kspace_encode_step_2"]
    return not set(image["idx"][steps].tolist()).isdisjoint(calibration["idx"][steps].tolist())
