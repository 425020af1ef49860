"""What ESPIRiT learns from the autocalibration signal (ACS): where it is, and which k-space patches it allows."""

from __future__ import annotations

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError

__all__ = ["calibration_region", "patch_correlation", "patch_row_space"]

_ZEROS_MEASURED = 0.01


def calibration_region(kspace: Tensor, acs: int | tuple[int, int] = 24, kernel: int = 5) -> Tensor:
    """The central rectangle of k-space that is fully sampled.

    Parameters
    ----------
    kspace : Tensor
        Complex k-space, (coil, rows, columns); samples that are exactly zero in every coil were not acquired, but for
        a few (1 %), which integer raw data may hold.
    acs : int or tuple of int
        An int n asks for up to n central columns and up to 2 n rows: the readout along rows is complete, so its
        extra rows cost no scan time and average noise. Fewer are taken where fewer are sampled. A tuple
        (rows, columns) asks for exactly that rectangle.
    kernel : int
        Width of the kernel that must fit into the region.

    Returns
    -------
    Tensor
        (coil, region rows, region columns), a view of `kspace`. An all-zero `kspace` gives the asked size, all zero.

    Raises
    ------
    ShapeError
        If `kspace` has not three axes or is not complex.
    ConfigError
        If the region holds NaN or Inf, is not fully sampled (tuple), or is too small for the kernel.
    """
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ShapeError(
            f"kspace is {kspace.dtype} of shape {tuple(kspace.shape)}: expected complex (coil, rows, columns), "
            "one slice at a time"
        )
    exact = not isinstance(acs, int)
    wanted = (2 * acs, acs) if isinstance(acs, int) else (int(acs[0]), int(acs[1]))
    if min(wanted) < kernel:
        raise ConfigError(f"acs={acs} is smaller than the kernel ({kernel}): ask for more central lines")
    region = _central_window(kspace, wanted)
    if not bool(torch.isfinite(torch.view_as_real(region)).all()):
        raise ConfigError("kspace holds NaN or Inf in its center: repair or leave out this slice")
    sampled = (region != 0).any(dim=0)
    missing = int((~sampled).sum())
    if missing <= _ZEROS_MEASURED * sampled.numel() or missing == sampled.numel():
        found = region
    elif exact:
        raise ConfigError(
            f"the central {wanted[0]} x {wanted[1]} samples (acs) are not fully sampled, {missing} are missing: "
            "give a smaller acs, or an int to take what there is"
        )
    else:
        rows, columns = _largest_rectangle(sampled.cpu().tolist())
        found = region[:, rows, columns]
    if min(found.shape[1:]) < kernel:
        raise ConfigError(
            f"the fully sampled center of k-space is {found.shape[1]} x {found.shape[2]}, too small for a kernel of "
            f"{kernel} x {kernel}: no autocalibration lines? Give maps from another scan, or a smaller kernel"
        )
    return found


def patch_row_space(region: Tensor, kernel: int, threshold: float) -> tuple[Tensor, float]:
    """Orthonormal basis of the k-space patches that the calibration data allow.

    Every `kernel` x `kernel` patch over all coils is a row of the calibration matrix A; its right singular vectors
    with singular values above `threshold` times the largest span the signal [1]_. They come from the
    eigenvectors of the smaller of A^H A and A A^H.

    Parameters
    ----------
    region : Tensor
        Fully sampled calibration data, (coil, rows, columns).
    kernel : int
        Width of the patches.
    threshold : float
        Relative to the largest singular value.

    Returns
    -------
    basis : Tensor
        (vectors, coil, kernel, kernel), orthonormal.
    noise_variance : float
        Mean energy per sample of what the threshold leaves out: noise, and signal that the kernel cannot explain.

    References
    ----------
    .. [1] Uecker et al., ESPIRiT, MRM 71 (2014), section "Theory".
    """
    coils = region.shape[0]
    patches = region.unfold(1, kernel, 1).unfold(2, kernel, 1)
    matrix = patches.permute(1, 2, 0, 3, 4).reshape(-1, coils * kernel**2)
    tall = matrix.shape[0] >= matrix.shape[1]
    energies, vectors = torch.linalg.eigh(matrix.mH @ matrix if tall else matrix @ matrix.mH)
    keep = energies > threshold**2 * energies[-1]
    basis = vectors[:, keep] if tall else (matrix.mH @ vectors[:, keep]) / energies[keep].sqrt()
    rank = basis.shape[1]
    left_out = float(energies[~keep].clamp_min(0).sum())
    freedom = max(1, matrix.shape[0] - rank) * max(1, matrix.shape[1] - rank)
    return basis.mT.reshape(-1, coils, kernel, kernel), left_out / freedom


def patch_correlation(basis: Tensor) -> Tensor:
    """Fourier coefficients, over the image, of ESPIRiT's coil-by-coil matrix at every pixel.

    With the zero-padded kernels g_n(r) in image space that matrix is sum_n g_n(r) g_n(r)^H / kernel^2 [1]_, a
    trigonometric polynomial in r, whose coefficients are the correlations of the kernels; its eigenvalues
    lie in [0, 1], and coil images that the calibration allows are eigenvectors to the eigenvalue 1.

    Parameters
    ----------
    basis : Tensor
        From `patch_row_space`, (vectors, coil, kernel, kernel).

    Returns
    -------
    Tensor
        (coil, coil, 2 kernel - 1, 2 kernel - 1), the coefficient of exp(0) in the middle.

    References
    ----------
    .. [1] Uecker et al., ESPIRiT, MRM 71 (2014), equations 10 to 13.
    """
    vectors, coils, kernel, _ = basis.shape
    lags = 2 * kernel - 1
    spectra = torch.fft.fft2(basis, s=(lags, lags)).permute(2, 3, 1, 0).reshape(lags**2, coils, vectors)
    product = (spectra.conj() @ spectra.mT).reshape(lags, lags, coils, coils)
    coefficients = torch.fft.fft2(product, dim=(0, 1)) / (lags**2 * kernel**2)
    centered: Tensor = torch.fft.fftshift(coefficients, dim=(0, 1)).permute(2, 3, 0, 1)
    return centered


def _central_window(kspace: Tensor, size: tuple[int, int]) -> Tensor:
    """The central rectangle of the given size, or all there is along an axis."""
    for axis, width in zip((1, 2), size, strict=True):
        length = kspace.shape[axis]
        width = min(width, length)
        kspace = kspace.narrow(axis, length // 2 - width // 2, width)
    return kspace


def _largest_rectangle(sampled: list[list[bool]]) -> tuple[slice, slice]:
    """The largest rectangle (by area) of sampled points that holds the center; a 1 x 1 one if there is none."""
    rows, columns = len(sampled), len(sampled[0])
    middle_row, middle_column = rows // 2, columns // 2
    best, area = (slice(middle_row, middle_row + 1), slice(middle_column, middle_column + 1)), 0
    for left in range(middle_column + 1):
        for right in range(middle_column + 1, columns + 1):
            top = bottom = middle_row
            while bottom < rows and all(sampled[bottom][left:right]):
                bottom += 1
            while top > 0 and all(sampled[top - 1][left:right]):
                top -= 1
            if bottom > middle_row and (bottom - top) * (right - left) > area:
                best, area = (slice(top, bottom), slice(left, right)), (bottom - top) * (right - left)
    return best
