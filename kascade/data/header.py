"""The header of a scan: matrix, field of view, encoding limits, protocol; from and to ISMRMRD XML."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from torch import Tensor

from kascade.errors import FileFormatError

__all__ = ["Header", "crop_to_recon"]

Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Header:
    """What the file says about the acquisition; None or empty where it says nothing.

    Triples are in ISMRMRD order x, y, z: along rows (readout), along columns (phase encoding), across slices.

    Attributes
    ----------
    encoded_matrix, recon_matrix : tuple of int or None
        Size of the k-space that was encoded, and of the image that the scanner made of it.
    encoded_fov_mm, recon_fov_mm : tuple of float or None
        Field of view of both.
    phase_limits : tuple of int or None
        (minimum, center, maximum) of the phase-encoding steps: `center` is the step at k = 0, `maximum` the last one.
    protocol : str or None
        Name of the protocol.
    echo_time_ms, repetition_time_ms, inversion_time_ms, flip_angle_deg : tuple of float
        Contrast; several values for several echoes.
    field_strength_t : float or None
        Main magnetic field in tesla.
    coils : int or None
        Number of receive channels.
    scanner : str or None
        Vendor and model.
    """

    encoded_matrix: tuple[int, int, int] | None = None
    recon_matrix: tuple[int, int, int] | None = None
    encoded_fov_mm: Triple | None = None
    recon_fov_mm: Triple | None = None
    phase_limits: tuple[int, int, int] | None = None
    protocol: str | None = None
    echo_time_ms: tuple[float, ...] = ()
    repetition_time_ms: tuple[float, ...] = ()
    inversion_time_ms: tuple[float, ...] = ()
    flip_angle_deg: tuple[float, ...] = ()
    field_strength_t: float | None = None
    coils: int | None = None
    scanner: str | None = None

    @property
    def spacing_mm(self) -> Triple | None:
        """Pixel size (along rows, along columns, across slices) of the image that k-space transforms to."""
        for matrix, fov in ((self.encoded_matrix, self.encoded_fov_mm), (self.recon_matrix, self.recon_fov_mm)):
            if matrix is not None and fov is not None:
                return (fov[0] / matrix[0], fov[1] / matrix[1], fov[2] / matrix[2])
        return None

    @property
    def readout_oversampling(self) -> float:
        """How many times wider along rows the encoded field of view is than the image's; 1 where nothing is said."""
        if self.encoded_fov_mm is not None and self.recon_fov_mm is not None:
            return max(1.0, self.encoded_fov_mm[0] / self.recon_fov_mm[0])
        if self.encoded_matrix is not None and self.recon_matrix is not None:
            return max(1.0, self.encoded_matrix[0] / self.recon_matrix[0])
        return 1.0

    def padding(self, columns: int) -> tuple[int, int]:
        """Columns that were acquired: those outside are zero-padded, not sampled.

        Parameters
        ----------
        columns : int
            Columns of the stored k-space.

        Returns
        -------
        left, right : int
            First acquired column, and the one after the last: ``encoded_matrix[1] // 2 - center`` and that plus
            ``maximum + 1`` as in the fastMRI package (``SliceDataset``), kept within 0 and `columns`; (0, columns)
            where the header says nothing.

        Raises
        ------
        FileFormatError
            If the limits leave no column.
        """
        if self.phase_limits is None:
            return 0, columns
        _, center, maximum = self.phase_limits
        encoded = columns if self.encoded_matrix is None else self.encoded_matrix[1]
        left = encoded // 2 - center
        right = left + maximum + 1
        left, right = max(left, 0), min(right, columns)
        if left >= right:
            raise FileFormatError(
                f"header: phase-encoding limits (minimum, center, maximum) {self.phase_limits} leave none of {columns} "
                f"columns at encoded matrix {self.encoded_matrix}; correct or remove the header"
            )
        return left, right

    def without_oversampling(self, rows: int) -> Header:
        """Header of the same scan after its readout was cut to `rows`, the field of view with it."""
        if self.encoded_matrix is None:
            return self
        x, y, z = self.encoded_matrix
        fov = self.encoded_fov_mm
        return replace(
            self,
            encoded_matrix=(rows, y, z),
            encoded_fov_mm=None if fov is None else (fov[0] * rows / x, fov[1], fov[2]),
        )


def crop_to_recon(image: Tensor, header: Header | None) -> Tensor:
    """Cut an image centrally to the header's recon matrix, as the fastMRI package does.

    Parameters
    ----------
    image : Tensor
        Shape (*batch, rows, columns).
    header : Header or None
        The image is returned whole where there is none, or where it names no recon matrix.

    Returns
    -------
    Tensor
        A view, (*batch, rows, columns) of the recon matrix. Where the image has fewer columns than that, columns x
        columns (fastMRI's rule for narrow FLAIR matrices); never more than there is.
    """
    if header is None or header.recon_matrix is None:
        return image
    rows, columns = image.shape[-2:]
    height, width = header.recon_matrix[:2]
    if columns < width:
        height = width = columns
    height, width = min(height, rows), min(width, columns)
    top, left = (rows - height) // 2, (columns - width) // 2
    return image[..., top : top + height, left : left + width]
