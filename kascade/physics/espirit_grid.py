"""ESPIRiT's eigenproblem over the image: on a coarse grid, interpolated, and solved anew where that falls short."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["eigenmaps", "grid_shape"]

# With eight points per Fourier coefficient the error of cubic interpolation is below 1e-6 where the leading eigenvalue
# stands out. Where eigenvectors turn too quickly for that, the interpolated ones come out shorter than _SHORTEST.
_DENSITY = 8
_SHORTEST = 0.95
_PIXELS_AT_ONCE = 4096


def grid_shape(correlation: Tensor, shape: tuple[int, int], at_least: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Rows and columns of the coarse grid: as the band limit of the matrices asks, at most those of the image."""
    dense = _DENSITY * correlation.shape[-1]
    return min(shape[0], max(dense, at_least[0])), min(shape[1], max(dense, at_least[1]))


def eigenmaps(correlation: Tensor, reference: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors of ESPIRiT's matrices at every pixel.

    Parameters
    ----------
    correlation : Tensor
        Fourier coefficients of the matrices (`patch_correlation`), (coil, coil, lags, lags).
    reference : Tensor
        Orthonormal coil combinations, (coil, set), one for each set to be found. The first is the virtual coil
        that sees every map as real and positive: this sets the phase.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    maps : Tensor
        (set, coil, rows, columns), orthonormal per pixel.
    eigenvalues : Tensor
        (set, rows, columns), largest first, between 0 and 1.
    """
    sets, virtual_coil = reference.shape[1], reference[:, 0]
    vectors, values = _leading(_matrices_on_grid(correlation, grid_shape(correlation, shape)), sets)
    turn = _alignment(vectors, reference)
    frame = _interpolate(vectors @ turn, shape)
    energy = _interpolate(turn.mH @ (values[..., None] * turn), shape)
    maps, eigenvalues, length = _eigenvectors_of_frame(frame, energy)
    if sets > 1:
        maps = _with_phase(maps, virtual_coil)
    for pixels in (length < _SHORTEST).any(dim=0).nonzero().split(_PIXELS_AT_ONCE):
        vectors, values = _leading(_matrices_at(correlation, pixels, shape), sets)
        where = (..., pixels[:, 0], pixels[:, 1])
        maps[where] = _with_phase(vectors.permute(2, 1, 0), virtual_coil)
        eigenvalues[where] = values.mT
    return maps, eigenvalues.clamp(0, 1)


def _waves(position: Tensor, lags: int) -> Tensor:
    """exp(2 pi i position lag), (positions, lags); positions in units of the field of view, 0 at its center."""
    lag = torch.arange(-(lags // 2), lags // 2 + 1, dtype=torch.float64, device=position.device)
    return torch.exp(2j * math.pi * torch.outer(position, lag)).to(torch.complex64)


def _positions(points: int, device: torch.device) -> Tensor:
    """Centered positions of pixels in units of the field of view."""
    return torch.arange(-(points // 2), points - points // 2, dtype=torch.float64, device=device) / points


def _matrices_on_grid(correlation: Tensor, shape: tuple[int, int]) -> Tensor:
    """ESPIRiT's matrices on a grid over the field of view, (rows, columns, coil, coil)."""
    lags, device = correlation.shape[-1], correlation.device
    by_row, by_column = (_waves(_positions(points, device), lags) for points in shape)
    return (by_row @ correlation @ by_column.mT).permute(2, 3, 0, 1).contiguous()


def _matrices_at(correlation: Tensor, pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    """ESPIRiT's matrices at some pixels, given as (pixel, 2) indices of an image of `shape`; (pixel, coil, coil)."""
    lags, coils = correlation.shape[-1], correlation.shape[0]
    by_row, by_column = (
        _waves(_positions(points, pixels.device)[index], lags) for points, index in zip(shape, pixels.T, strict=True)
    )
    waves = (by_row[:, :, None] * by_column[:, None, :]).flatten(1)
    matrices: Tensor = (waves @ correlation.flatten(2).flatten(0, 1).mT).unflatten(1, (coils, coils))
    return matrices


def _leading(matrices: Tensor, sets: int) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors (..., coil, set) and eigenvalues (..., set) of Hermitian matrices, largest first."""
    values, vectors = torch.linalg.eigh(matrices)
    return vectors[..., -sets:].flip(-1), values[..., -sets:].flip(-1)


def _alignment(vectors: Tensor, reference: Tensor) -> Tensor:
    """The unitary (..., set, set) that mixes orthonormal vectors (..., coil, set) to be nearest to `reference`.

    An eigenvector's phase is arbitrary, and so is the mixture of those of one eigenvalue: aligned in this way
    (orthogonal Procrustes problem) they become smooth functions of position.
    """
    left, _, right = torch.linalg.svd(reference.mH @ vectors)
    turn: Tensor = right.mH @ left.mH
    return turn


def _interpolate(field: Tensor, shape: tuple[int, int]) -> Tensor:
    """Periodic cubic interpolation of (rows, columns, ...) to (..., *shape)."""
    field = field.movedim((0, 1), (-2, -1))
    by_row, by_column = (_cubic(new, old, field.device) for new, old in zip(shape, field.shape[-2:], strict=True))
    return torch.complex(by_row @ field.real @ by_column.mT, by_row @ field.imag @ by_column.mT)


def _cubic(new: int, old: int, device: torch.device) -> Tensor:
    """Catmull-Rom interpolation between two centered periodic grids, (new, old); the identity for equal sizes."""
    distance = old * (_positions(new, device)[:, None] - _positions(old, device))
    distance = ((distance + old / 2).remainder(old) - old / 2).abs()
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0)).float()


def _eigenvectors_of_frame(frame: Tensor, energy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, eigenvalues and lengths from a nearly orthonormal `frame` (coil, set, ...), `energy` (set, set, ...) in it.

    The lengths of the interpolated vectors before normalization, (set, ...), tell how good the interpolation was.
    """
    if frame.shape[1] > 1:
        values, mixture = torch.linalg.eigh(energy.movedim((0, 1), (-2, -1)))
        eigenvalues = values.flip(-1).movedim(-1, 0)
        frame = torch.einsum("cs...,...st->ct...", frame, mixture.flip(-1))
    else:
        eigenvalues = energy[0].real
    maps: list[Tensor] = []
    lengths: list[Tensor] = []
    for vector in frame.unbind(dim=1):
        for other in maps:
            vector = vector - (other.conj() * vector).sum(dim=0) * other
        lengths.append((vector.real.square() + vector.imag.square()).sum(dim=0).sqrt())
        maps.append(vector / lengths[-1].clamp_min(torch.finfo(torch.float32).tiny))
    return torch.stack(maps), eigenvalues, torch.stack(lengths)


def _with_phase(maps: Tensor, virtual_coil: Tensor) -> Tensor:
    """Maps (set, coil, ...) with the phase that makes the virtual coil's view of them real and positive."""
    seen = torch.tensordot(virtual_coil.conj(), maps, dims=([0], [1]))
    return maps * torch.exp(-1j * seen.angle())[:, None]
