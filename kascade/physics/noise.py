"""Receiver noise: its covariance over coils, and k-space in which it is white with unit variance."""

from __future__ import annotations

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.rss import rss

__all__ = ["corner_noise", "noise_covariance", "rss_weight", "whiten", "whitening_matrix"]


def noise_covariance(samples: Tensor) -> Tensor:
    """Covariance Psi of complex noise over coils.

    Parameters
    ----------
    samples : Tensor
        Noise only, complex (coil, samples), zero mean.

    Returns
    -------
    Tensor
        (coil, coil), Hermitian: the mean of n n^H. A coil's variance is E|n|^2, real and imaginary part together.

    Raises
    ------
    ShapeError
        If `samples` is not complex (coil, samples).
    ConfigError
        If there are fewer samples than coils, which cannot give an invertible covariance.
    """
    if samples.ndim != 2 or not samples.is_complex():
        raise ShapeError(f"noise samples must be complex (coil, samples), got {samples.dtype} {tuple(samples.shape)}")
    coils, count = samples.shape
    if count < coils:
        raise ConfigError(
            f"{count} noise samples cannot give the covariance of {coils} coils; at least {coils} are needed"
        )
    return samples @ samples.mH / count


def corner_noise(kspace: Tensor, fraction: float = 0.1) -> Tensor:
    """Samples from the corners of k-space, where there is hardly any signal.

    Parameters
    ----------
    kspace : Tensor
        Complex (coil, rows, columns). Positions that are exactly zero in every coil were not acquired and are left out.
    fraction : float
        Part of rows and of columns that a corner takes.

    Returns
    -------
    Tensor
        (coil, samples).

    Raises
    ------
    ConfigError
        If the corners hold fewer acquired samples than four for each coil.
    """
    rows, columns = (max(int(n * fraction), 1) for n in kspace.shape[-2:])
    edges = [(slice(rows), slice(columns)), (slice(rows), slice(-columns, None))]
    edges += [(slice(-rows, None), c) for _, c in edges]
    samples = torch.cat([kspace[:, r, c].flatten(1) for r, c in edges], dim=1)
    samples = samples[:, (samples != 0).any(0)]
    coils, count = samples.shape
    if count < 4 * coils:
        raise ConfigError(
            f"the corners of k-space hold {count} acquired samples, too few for the noise of {coils} coils "
            f"(at least {4 * coils}); give a noise scan, or do without whitening"
        )
    return samples


def whitening_matrix(covariance: Tensor) -> Tensor:
    """W = L^-1 with Psi = L L^H (Cholesky), so that W n has unit covariance.

    Parameters
    ----------
    covariance : Tensor
        Psi, Hermitian positive definite (coil, coil).

    Raises
    ------
    ConfigError
        If Psi is not positive definite: a coil without noise, or two that carry the same signal.

    References
    ----------
    Pruessmann et al., MRM 46 (2001), section "Noise"; Kellman and McVeigh, MRM 54 (2005).
    """
    factor, failed = torch.linalg.cholesky_ex(covariance.to(torch.complex128))
    if bool(failed) or float(factor.diagonal().real.min()) <= 1e-6 * float(factor.diagonal().real.max()):
        raise ConfigError(
            "the noise covariance is not positive definite: a coil without noise, or coils that repeat each other; "
            "leave such coils out, or do without whitening"
        )
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return inverse.to(covariance.dtype)


def whiten(kspace: Tensor, whitener: Tensor) -> Tensor:
    """Mix coils by W.

    Parameters
    ----------
    kspace : Tensor
        k-space or coil maps, complex (..., coil, rows, columns).
    whitener : Tensor
        W, (coil, coil).

    Raises
    ------
    ShapeError
        If W does not fit the coils.
    """
    if whitener.shape != (kspace.shape[-3],) * 2:
        raise ShapeError(
            f"whitening: the matrix is {tuple(whitener.shape)}, but k-space {tuple(kspace.shape)} has "
            f"{kspace.shape[-3]} coils"
        )
    return torch.einsum("ij,...jrc->...irc", whitener, kspace)


def rss_weight(maps: Tensor, whitener: Tensor) -> Tensor:
    """Factor from an image of whitened coils to the intensity of the raw coils' root sum of squares.

    With unit-norm maps s of the whitened coils, the raw coil images are W^-1 s x, whose RSS is ||W^-1 s|| |x|.

    Parameters
    ----------
    maps : Tensor
        Maps of the whitened coils, complex (..., coil, rows, columns).
    whitener : Tensor
        W, (coil, coil).

    Returns
    -------
    Tensor
        Real (..., rows, columns).
    """
    return rss(whiten(maps, torch.linalg.inv(whitener)))
