"""What may be wrong with a scan, in sentences, for `kascade inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kascade.errors import FileFormatError, ShapeError
from kascade.physics.oversampling import kept_rows

if TYPE_CHECKING:
    from kascade.data.scan import Scan

__all__ = ["find_problems"]


def find_problems(scan: Scan) -> list[str]:
    """Read every slice once and list what a user should know before reconstructing `scan`."""
    found = list(scan.notes) + _header_problems(scan)
    sampled = torch.zeros(scan.matrix, dtype=torch.bool)
    silent = torch.ones(scan.coils, dtype=torch.bool)
    empty: list[int] = []
    for index in range(len(scan)):
        try:
            acquired = scan.kspace[index] != 0
        except FileFormatError as error:
            found.append(str(error))
            continue
        if not bool(acquired.any()):
            empty.append(index)
            continue
        sampled |= acquired.any(dim=0)
        silent &= ~acquired.flatten(1).any(dim=1)
    if empty:
        found.append(f"all-zero k-space in {_numbered('slice', empty)}: the images will be zero")
    if bool(sampled.any()):
        if bool(silent.any()):
            found.append(f"no signal in {_numbered('coil', silent.nonzero().flatten().tolist())} of {scan.coils}")
        found += _sampling_problems(scan, sampled)
    return found


def _header_problems(scan: Scan) -> list[str]:
    """Where header and k-space disagree."""
    found = []
    rows, columns = scan.matrix
    header = scan.header
    if header.encoded_matrix is not None and header.encoded_matrix[:2] != (rows, columns):
        x, y, _ = header.encoded_matrix
        found.append(f"the header's encoded matrix is {x} x {y}, but k-space is {rows} x {columns}")
    if header.recon_matrix is not None and columns < header.recon_matrix[1]:
        x, y, _ = header.recon_matrix
        found.append(f"k-space has {columns} columns, the recon matrix is {x} x {y}: cropped to {columns} x {columns}")
    if header.coils is not None and header.coils != scan.coils:
        found.append(f"the header names {header.coils} coils, but k-space has {scan.coils}")
    if header.encoded_matrix is not None and header.encoded_matrix[0] == rows and header.readout_oversampling > 1:
        try:
            kept_rows(rows, header.readout_oversampling)
        except ShapeError as error:
            found.append(f"the readout oversampling cannot be removed: {error}")
    try:
        header.padding(columns)
    except FileFormatError as error:
        found.append(str(error))
    return found


def _sampling_problems(scan: Scan, sampled: Tensor) -> list[str]:
    """Where the mask and the zeros of k-space disagree; `sampled` (rows, columns) is nonzero in any coil and slice."""
    if scan.mask is None:
        try:
            left, right = scan.header.padding(scan.matrix[1])
        except FileFormatError:  # told by _header_problems
            left, right = 0, scan.matrix[1]
        share = 1 - float(sampled[:, left:right].float().mean())
        if share > 0:
            return [f"no mask is stored, but {share:.1%} of the samples are exactly 0 in every coil: undersampled"]
        return []
    mask = (scan.mask > 0).expand_as(sampled)
    outside = int((sampled & ~mask).sum())
    missing = int((mask & ~sampled).sum())
    found = []
    if outside:
        found.append(f"{outside} samples outside the mask are not 0: the mask does not belong to this k-space")
    if missing:
        found.append(f"{missing} samples inside the mask are 0 in every coil")
    return found


def _numbered(what: str, numbers: list[int]) -> str:
    """`slice 3` or `slices 3, 4, 7`."""
    shown = ", ".join(str(number) for number in numbers[:20]) + (", ..." if len(numbers) > 20 else "")
    return f"{what}{'s' if len(numbers) > 1 else ''} {shown}"
