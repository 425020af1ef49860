"""Receive coils for simulation: sensitivities of current loops around the head, and the noise they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.simulation.geometry import pixel_positions
from kascade.errors import ConfigError, ShapeError

__all__ = ["Loop", "coil_noise_covariance", "helmet", "loop_coil_maps", "loop_field"]

Array: TypeAlias = NDArray[np.float64]

HELMET_MM = (105.0, 125.0, 140.0)  # half axes of the helmet: left-right, back-front, up
WIRE_MM = 1.0  # radius of the conductor: nearer than this the field is that at its surface
LARGEST_LOOP_MM = 90.0
CHUNK = 8192  # pixels


@dataclass(frozen=True)
class Loop:
    """Circular loop of thin wire.

    Attributes
    ----------
    center : tuple of float
        In mm.
    normal : tuple of float
        Unit vector; a positive current runs around it by the right-hand rule.
    radius_mm : float
        Radius.
    """

    center: tuple[float, float, float]
    normal: tuple[float, float, float]
    radius_mm: float


def helmet(coils: int, half_axes_mm: Sequence[float] = HELMET_MM) -> tuple[Loop, ...]:
    """Loops on an ellipsoid around the head, looking inward: one ring of up to 8, then two to four rings.

    Parameters
    ----------
    coils : int
        Number of loops.
    half_axes_mm : sequence of float
        Half axes of the ellipsoid along x, y, z.

    Returns
    -------
    tuple of Loop
        Ring after ring from the lowest; neighbors in a ring overlap by about a tenth, each ring is turned by half a
        loop against the one below.

    Raises
    ------
    ConfigError
        If there is no coil, or a half axis is not positive.
    """
    if coils < 1:
        raise ConfigError(f"coils is {coils}: expected at least 1")
    if len(half_axes_mm) != 3 or not all(np.isfinite(a) and a > 0 for a in half_axes_mm):
        raise ConfigError(f"half_axes_mm is {tuple(half_axes_mm)}: expected three positive lengths")
    axes = np.array(half_axes_mm, dtype=np.float64)
    rings = min(4, -(-coils // 8))
    step = np.deg2rad(min(40.0, 75 / max(rings - 1, 1)))
    elevations = np.deg2rad(-5.0 * rings if rings > 1 else 0.0) + step * np.arange(rings)
    share = np.cumsum(np.cos(elevations))
    counts = np.diff(np.round(coils * share / share[-1]), prepend=0).astype(int)
    loops = []
    for ring, (elevation, count) in enumerate(zip(elevations, counts, strict=True)):
        around = 2 * np.pi * np.cos(elevation) * np.sqrt((axes[0] ** 2 + axes[1] ** 2) / 2)
        pitch = min(around / max(count, 1), step * axes[2] if rings > 1 else np.inf)
        radius = min(0.55 * pitch, LARGEST_LOOP_MM)
        for turn in 2 * np.pi * (np.arange(count) + 0.5 * (ring % 2) + 0.25) / max(count, 1):
            unit = np.array([np.cos(elevation) * np.cos(turn), np.cos(elevation) * np.sin(turn), np.sin(elevation)])
            normal = -unit / axes
            normal /= np.linalg.norm(normal)
            loops.append(Loop(_triple(axes * unit), _triple(normal), float(radius)))
    return tuple(loops)


def loop_field(loop: Loop, points_mm: Tensor) -> Tensor:
    """Magnetic field of a loop by the law of Biot and Savart, in closed form.

    The complete elliptic integrals give the field exactly (J. D. Jackson, Classical Electrodynamics, section 5.5;
    J. Simpson et al., NASA/TM-2001-210896, eqs. 1 to 3).

    Parameters
    ----------
    loop : Loop
        The loop; it carries 1 A.
    points_mm : Tensor
        Where, shape (*, 3).

    Returns
    -------
    Tensor
        Field in microtesla, float64, shape (*, 3).

    Raises
    ------
    ShapeError
        If the last axis of `points_mm` is not 3.
    """
    if points_mm.shape[-1:] != (3,):
        raise ShapeError(f"points_mm has shape {tuple(points_mm.shape)}: expected (*, 3)")
    x, y, z = np.ascontiguousarray(points_mm.detach().cpu().double().reshape(-1, 3).T.numpy())
    return torch.from_numpy(np.stack(_field(loop, x, y, z), axis=-1)).reshape(points_mm.shape)


def _field(loop: Loop, x: Array, y: Array, z: Array) -> list[Array]:
    """Components of the field: along the normal, and outward from the axis in proportion to the distance from it."""
    offset = [c - center for c, center in zip((x, y, z), loop.center, strict=True)]
    height = offset[0] * loop.normal[0] + offset[1] * loop.normal[1] + offset[2] * loop.normal[2]
    rho = np.sqrt(np.maximum(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2 - height**2, 0.0))
    along, outward = _cylindrical_field(loop.radius_mm, rho, height)
    along = along - outward * height
    return [along * n + outward * c for c, n in zip(offset, loop.normal, strict=True)]


def _cylindrical_field(a: float, rho: Array, z: Array) -> tuple[Array, Array]:
    """Axial field, and radial field divided by rho, in microtesla per ampere at cylindrical coordinates in mm."""
    from scipy.special import ellipe, ellipkm1

    squares = rho * rho + z * z
    near = np.maximum((a - rho) ** 2 + z * z, WIRE_MM**2)
    far = squares + 2 * a * rho + a * a
    complement = np.minimum(near / far, 1.0)
    K, E = ellipkm1(complement), ellipe(1 - complement)
    factor = 200.0 / np.sqrt(far)  # mu_0 / 2 pi = 200 microtesla mm / A
    E /= near
    along = factor * (K + (a * a - squares) * E)
    on_axis = rho < 1e-4 * a  # the difference below cancels there: the limit instead, exact to (rho / a)^2
    outward = factor * z / np.where(on_axis, 1.0, rho * rho) * ((a * a + squares) * E - K)
    outward[on_axis] = 300.0 * np.pi * a**2 * z[on_axis] / (a**2 + z[on_axis] ** 2) ** 2.5
    return along, outward


def loop_coil_maps(
    shape: Sequence[int],
    coils: int = 8,
    fov_mm: float | Sequence[float] = 240.0,
    *,
    slice_position_mm: float = 0.0,
    orientation: str = "axial",
    half_axes_mm: Sequence[float] = HELMET_MM,
    normalize: bool = True,
) -> Tensor:
    """Receive sensitivities B1- = Bx - i By of loops around the head, the main field being along z.

    Parameters
    ----------
    shape : sequence of int
        (rows, columns).
    coils : int
        Number of loops, placed by `helmet`.
    fov_mm, slice_position_mm, orientation
        As for `pixel_positions`.
    half_axes_mm : sequence of float
        Half axes of the helmet.
    normalize : bool
        Scale every pixel so that the sum over coils of abs squared is 1; otherwise microtesla per ampere.

    Returns
    -------
    Tensor
        complex64, shape (coil, rows, columns).

    Raises
    ------
    ShapeError
        If `shape` is not two positive integers.
    ConfigError
        If another argument has no meaning.
    """
    positions = pixel_positions(shape, fov_mm, slice_position_mm, orientation)
    x, y, z = (np.ascontiguousarray(c.numpy()) for c in positions.unbind(-1))
    loops = helmet(coils, half_axes_mm)
    maps = torch.empty(len(loops), *x.shape, dtype=torch.complex64)
    step = max(1, CHUNK // x.shape[1])
    for rows in (slice(top, top + step) for top in range(0, len(x), step)):  # pieces that stay in cache
        for sensitivity, loop in zip(torch.view_as_real(maps[:, rows]), loops, strict=True):
            bx, by, _ = _field(loop, x[rows], y[rows], z[rows])
            sensitivity[..., 0] = torch.from_numpy(bx)
            sensitivity[..., 1] = torch.from_numpy(-by)
    if normalize:
        maps /= torch.linalg.vector_norm(maps, dim=0).clamp(min=torch.finfo(torch.float32).tiny)
    return maps


def coil_noise_covariance(
    coils: int, *, coupling: float = 0.5, seed: int = 0, half_axes_mm: Sequence[float] = HELMET_MM
) -> Tensor:
    """Plausible noise covariance of the loops of `helmet`.

    Noise of the shared load falls off with the distance d of two loops as exp(-d / d0), d0 being the distance of
    neighbors; mutual inductance then mixes it with imaginary weights iX, X real and symmetric, and every channel has a
    gain of its own: G (1 + iX) R (1 - iX) G, which is Hermitian and positive definite whatever X is.

    Parameters
    ----------
    coils : int
        Number of loops.
    coupling : float
        Correlation of the noise of two loops at the distance 0, in [0, 1), and bound of the inductive mixing there.
    seed : int
        Seed of gains (10 % standard deviation) and mixing.
    half_axes_mm : sequence of float
        Half axes of the helmet.

    Returns
    -------
    Tensor
        complex64, shape (coil, coil), Hermitian, positive definite; the mean of the diagonal is 1.

    Raises
    ------
    ConfigError
        If an argument has no meaning.
    """
    if not 0 <= coupling < 1:
        raise ConfigError(f"coupling is {coupling}: expected 0 <= coupling < 1")
    centers = np.array([loop.center for loop in helmet(coils, half_axes_mm)])
    distance = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    apart = distance + np.where(np.eye(coils, dtype=bool), np.inf, 0.0)
    near = float(apart.min(1).mean()) if coils > 1 else 1.0
    decay = np.exp(-distance / near)
    rng = np.random.default_rng((seed, 8))
    gains = np.exp(rng.normal(0, 0.1, coils))
    strength = np.triu(rng.uniform(-1, 1, (coils, coils)), 1)
    mixing = np.eye(coils) + 1j * coupling * (strength + strength.T) * decay
    load = (1 - coupling) * np.eye(coils) + coupling * decay
    covariance = np.outer(gains, gains) * (mixing @ load @ mixing.conj().T)
    covariance = (covariance + covariance.conj().T) / 2
    return torch.from_numpy(covariance / np.trace(covariance).real * coils).to(torch.complex64)


def _triple(v: Array) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
