"""What the lazy views of a Scan do to a slice when it is read: mask it, or remove its readout oversampling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kascade.data.consistency import check_mask
from kascade.data.header import Header
from kascade.data.masks import apply_padding
from kascade.errors import ShapeError
from kascade.physics.oversampling import central_rows, kept_rows, remove_readout_oversampling

if TYPE_CHECKING:
    from kascade.data.scan import Scan

__all__ = ["CutRows", "Masked", "RemoveOversampling", "masked_padding", "without_oversampling"]


@dataclass(frozen=True)
class Masked:
    """Multiply k-space by `mask`."""

    mask: Tensor

    def __call__(self, kspace: Tensor) -> Tensor:
        """Mask one slice."""
        return kspace * self.mask


@dataclass(frozen=True)
class RemoveOversampling:
    """Remove `factor`-fold readout oversampling from k-space."""

    factor: float

    def __call__(self, kspace: Tensor) -> Tensor:
        """Reduce one slice."""
        return remove_readout_oversampling(kspace, self.factor)


@dataclass(frozen=True)
class CutRows:
    """Cut an image, or maps, to its central `rows`."""

    rows: int

    def __call__(self, image: Tensor) -> Tensor:
        """Cut one slice."""
        return central_rows(image, self.rows)


def masked_padding(mask: Tensor, header: Header, shape: tuple[int, ...]) -> Tensor:
    """Copy of `mask` that is 0 in the columns which the header's encoding limits leave out."""
    check_mask(mask, shape)
    return apply_padding(mask, *header.padding(mask.shape[-1]))


def without_oversampling(scan: Scan) -> Scan:
    """See `Scan.without_oversampling`."""
    rows, columns = scan.matrix
    factor = scan.header.readout_oversampling
    encoded = scan.header.encoded_matrix
    if factor <= 1 or encoded is None or encoded[0] != rows:
        return scan
    mask = scan.mask
    if mask is not None and mask.ndim == 2:
        if not torch.equal(mask, mask[:1].expand_as(mask)):
            return scan
        mask = mask[0]
    try:
        kept = kept_rows(rows, factor)
    except ShapeError:
        return scan  # no whole number of rows: nothing exact exists; `problems` tells
    maps = scan.maps
    return replace(
        scan,
        kspace=scan.kspace.map(RemoveOversampling(factor), (scan.coils, kept, columns)),
        mask=mask,
        maps=None if maps is None else maps.map(CutRows(kept), (*maps.shape[1:-2], kept, columns)),
        header=scan.header.without_oversampling(kept),
    )
