"""Noise amplification of parallel imaging: the g-factor in closed form, and pseudo-replicas for any method."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError

__all__ = ["gfactor_uniform", "noise_amplification"]

REPLICAS_AT_ONCE = 2**25  # complex samples, 256 MB


def gfactor_uniform(maps: Tensor, accel: int, covariance: Tensor | None = None) -> Tensor:
    """g-factor of unregularized SENSE at uniform undersampling along columns, without calibration lines.

    For the R pixels that fold onto each other, with S their maps (coil, R) and Psi the noise covariance,
    g_i = sqrt([(S^H Psi^-1 S)^-1]_ii [S^H Psi^-1 S]_ii) >= 1. Pixels without maps are left out of their group.

    Parameters
    ----------
    maps : Tensor
        Coil maps, complex (coil, rows, columns).
    accel : int
        R; must divide the columns.
    covariance : Tensor, optional
        Noise covariance Psi (coil, coil); white by default.

    Returns
    -------
    Tensor
        Real (rows, columns); 0 where there are no maps, infinite where R pixels cannot be told apart.

    Raises
    ------
    ShapeError
        If `maps` is not complex (coil, rows, columns).
    ConfigError
        If R does not divide the columns: use `noise_amplification`, which takes any sampling.

    References
    ----------
    Pruessmann et al., SENSE, MRM 42 (1999), equation 23.
    """
    if maps.ndim != 3 or not maps.is_complex():
        raise ShapeError(f"g-factor: maps must be complex (coil, rows, columns), got {maps.dtype} {tuple(maps.shape)}")
    coils, rows, columns = maps.shape
    if accel < 1 or columns % accel:
        raise ConfigError(
            f"g-factor: R = {accel} does not divide {columns} columns, so there is no closed form; use pseudo-replicas"
        )
    maps = maps.to(torch.complex128)
    weighted = maps
    if covariance is not None:
        weighted = torch.linalg.solve(covariance.to(maps.dtype), maps.flatten(1)).reshape(maps.shape)
    # Pixels c, c + N/R, c + 2 N/R, ... fold together: (rows, N/R, coil, R).
    groups, weighted_groups = (
        m.reshape(coils, rows, accel, columns // accel).permute(1, 3, 0, 2) for m in (maps, weighted)
    )
    normal = groups.mH @ weighted_groups
    power = normal.diagonal(dim1=-2, dim2=-1).real
    empty = power <= 1e-12 * power.max()
    # An empty pixel gets a diagonal of 1, which takes it out of the group without changing its size.
    normal = torch.where(empty[..., None] | empty[..., None, :], 0, normal) + torch.diag_embed(empty.to(normal.dtype))
    inverse, failed = torch.linalg.inv_ex(normal)
    variance = inverse.diagonal(dim1=-2, dim2=-1).real.clamp(min=0) * power
    variance = torch.where((failed != 0)[..., None], torch.inf, variance)
    g = torch.where(empty, 0, variance.sqrt())
    return g.permute(0, 2, 1).reshape(rows, columns).to(torch.float32)


def noise_amplification(
    reconstruct: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    *,
    mask: Tensor | None = None,
    replicas: int = 200,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Standard deviation of each pixel's noise for white unit noise in k-space, by pseudo-replicas.

    For a linear reconstruction this is sqrt([G G^H]_ii) of its noise map G. Divided by sqrt(R) times that of the fully
    sampled reconstruction it is the g-factor; for regularized SENSE it is at most lambda (Nickel 2025). For a
    reconstruction that is not linear, pass ``lambda n: f(y + n) - f(y)``.

    Parameters
    ----------
    reconstruct : callable
        Maps k-space (batch, *shape) to images (batch, rows, columns).
    shape : tuple of int
        k-space of one replica, (coil, rows, columns).
    mask : Tensor, optional
        Sampling mask, multiplied onto the noise.
    replicas : int
        Number of noise realizations; the relative standard error of the result is 1 / (2 sqrt(replicas)).
    seed : int
        Seed of the noise.
    device : torch.device
        Where to compute.
    progress : callable, optional
        Called as progress(done, replicas).

    Returns
    -------
    Tensor
        Real (rows, columns).

    Raises
    ------
    ConfigError
        If there are fewer than 2 replicas.

    References
    ----------
    Robson et al., Comprehensive quantification of signal-to-noise ratio and g-factor, MRM 60 (2008).
    """
    if replicas < 2:
        raise ConfigError(f"pseudo-replicas: at least 2 are needed for a standard deviation, got {replicas}")
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, min(replicas, REPLICAS_AT_ONCE // torch.Size(shape).numel()))
    power: Tensor | None = None
    done = 0
    while done < replicas:
        count = min(at_once, replicas - done)
        noise = torch.randn(count, *shape, dtype=torch.complex64, generator=generator).to(device)
        with torch.no_grad():
            images = reconstruct(noise if mask is None else noise * mask)
        batch = images.abs().square().sum(0)
        power = batch if power is None else power + batch
        done += count
        if progress is not None:
            progress(done, replicas)
    assert power is not None
    return (power / replicas).sqrt()  # the mean of the noise is zero, and known
