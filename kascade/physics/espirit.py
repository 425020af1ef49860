"""ESPIRiT: coil sensitivity maps from the fully sampled center of k-space, as eigenvectors of a small matrix."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kascade.errors import ConfigError
from kascade.physics.calibration import calibration_region, patch_correlation, patch_row_space
from kascade.physics.espirit_crop import sure_crop
from kascade.physics.espirit_grid import eigenmaps, grid_shape

__all__ = ["espirit"]

# Second sets are signal where the field of view wraps and noise elsewhere: a steep weight tells the two apart.
_SOFT_POWER = 4


def espirit(
    kspace: Tensor,
    acs: int | tuple[int, int] = 24,
    kernel: int = 5,
    sets: int = 1,
    threshold: float = 0.025,
    crop: float | Literal["auto"] | None = None,
    soft: bool = False,
) -> Tensor:
    """Coil sensitivity maps from autocalibration lines.

    Per pixel, the maps are the leading eigenvectors of a coils x coils matrix that the calibration data define [1]_.
    That matrix is band-limited, so they are solved for on a coarse grid and interpolated; pixels where the
    interpolated vectors come out short, that is, where the grid was too coarse, are solved for one by one.

    The phase is set relative to a virtual coil, the first principal component of the calibration data: it sees
    the whole object, where one coil has zeros that would be phase singularities in every image.

    Parameters
    ----------
    kspace : Tensor
        Complex k-space of one slice, (coil, rows, columns), undersampled or not, best whitened.
    acs : int or tuple of int
        Calibration region (see `calibration_region`): n takes up to n columns and 2 n rows of what is fully
        sampled, (rows, columns) exactly that.
    kernel : int
        Width of the k-space kernel.
    sets : int
        Number of map sets: 2 where the field of view is smaller than the object.
    threshold : float
        Singular values of the calibration matrix below this part of the largest count as noise.
    crop : float, "auto" or None
        Maps are zero where their eigenvalue (0 to 1) is below this. "auto" takes the value of least expected
        error (see `sure_crop`). None keeps unit maps everywhere.
    soft : bool
        Multiply each set by its eigenvalue to the fourth power, so that maps fade out where the calibration
        does not support them: recommended with two sets. An image x then stands for |map| x.

    Returns
    -------
    Tensor
        complex64 (coil, rows, columns), or (set, coil, rows, columns) for sets > 1: per pixel orthonormal, but for
        `crop` and `soft`. All zero for an all-zero `kspace`. Not differentiable.

    Raises
    ------
    ShapeError
        If `kspace` is not complex (coil, rows, columns).
    ConfigError
        If there is no calibration region for the kernel, or an option is out of range.

    References
    ----------
    .. [1] Uecker et al., ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI, MRM 71 (2014).
    """
    _check_options(kernel, threshold, crop)
    with torch.no_grad():
        region = calibration_region(kspace, acs, kernel).to(torch.complex64)
        coils, shape = kspace.shape[0], (kspace.shape[1], kspace.shape[2])
        if not 1 <= sets <= coils:
            raise ConfigError(f"sets={sets}: expected 1 to the number of coils, {coils}")
        scale = float(region.abs().max())
        if scale == 0.0:
            maps = torch.zeros((sets, coils, *shape), dtype=torch.complex64, device=kspace.device)
            return maps if sets > 1 else maps[0]
        region = region / scale
        basis, noise_variance = patch_row_space(region, kernel, threshold)
        correlation = patch_correlation(basis)
        reference = _principal_coils(region, sets)
        maps, eigenvalues = eigenmaps(correlation, reference, shape)
        if crop == "auto":
            grid = grid_shape(correlation, shape, at_least=(region.shape[1], region.shape[2]))
            crop = sure_crop(*eigenmaps(correlation, reference, grid), region, noise_variance)
        if soft:
            maps *= (eigenvalues**_SOFT_POWER)[:, None]
        if crop is not None:
            maps *= (eigenvalues >= crop)[:, None]
    return maps if sets > 1 else maps[0]


def _check_options(kernel: int, threshold: float, crop: float | str | None) -> None:
    if kernel < 2:
        raise ConfigError(f"kernel={kernel}: expected at least 2")
    if not 1e-3 <= threshold < 1:
        raise ConfigError(f"threshold={threshold}: expected 0.001 to 1, relative to the largest singular value")
    if crop not in (None, "auto") and not (isinstance(crop, (int, float)) and 0 <= crop <= 1):
        raise ConfigError(f'crop={crop!r}: expected a number from 0 to 1, "auto" or None')


def _principal_coils(region: Tensor, number: int) -> Tensor:
    """First principal components of the calibration data over coils, (coil, number)."""
    samples = region.flatten(1)
    vectors: Tensor = torch.linalg.eigh(samples @ samples.mH)[1]
    return vectors[:, -number:].flip(-1)
