"""Readout oversampling: scanners sample the readout denser than needed; this takes the surplus away again, exactly."""

from __future__ import annotations

from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.fourier import fft, ifft

__all__ = ["central_rows", "kept_rows", "remove_readout_oversampling"]

_TOLERANCE = 0.01  # rows; a factor made of a header's rounded fields of view is not exact


def kept_rows(rows: int, factor: float) -> int:
    """Rows that are left of `rows` when `factor`-fold oversampling is removed.

    Raises
    ------
    ConfigError
        If `factor` is below 1.
    ShapeError
        If rows / factor is no whole number.
    """
    if not 1 <= factor < float("inf"):
        raise ConfigError(f"oversampling factor is {factor}; expected at least 1, such as 2")
    kept = round(rows / factor)
    if kept < 1 or abs(rows / factor - kept) > _TOLERANCE:
        raise ShapeError(
            f"remove_readout_oversampling: {rows} rows / factor {factor:g} is {rows / factor:g}; expected a whole "
            "number of rows"
        )
    return kept


def central_rows(image: Tensor, rows: int) -> Tensor:
    """Cut an image (*batch, rows, columns) to its central `rows`; the center, rows // 2, stays the center."""
    top = image.shape[-2] // 2 - rows // 2
    return image[..., top : top + rows, :]


def remove_readout_oversampling(kspace: Tensor, factor: float = 2) -> Tensor:
    """Remove readout oversampling along rows: transform, keep the central field of view, transform back.

    Both transforms are orthonormal, so that image values stay as they are; so does the noise per sample of white
    noise. In k-space this scales: what remains of a sample at the same frequency is sqrt(factor) times larger for an
    object inside the kept field of view.

    Parameters
    ----------
    kspace : Tensor
        Complex, centered, (*batch, rows, columns). Every row must have been acquired: undersampling along columns
        only.
    factor : float
        Oversampling; rows / factor must be a whole number.

    Returns
    -------
    Tensor
        k-space (*batch, rows / factor, columns) whose image is the central part of that of `kspace`, exactly.

    Raises
    ------
    ConfigError
        If `factor` is below 1.
    ShapeError
        If rows / factor is no whole number.
    """
    kept = kept_rows(kspace.shape[-2], factor)
    if kept == kspace.shape[-2]:
        return kspace
    return fft(central_rows(ifft(kspace, axes=(-2,)), kept), axes=(-2,))
