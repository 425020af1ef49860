"""Coil compression: fewer virtual coils that hold nearly all of the signal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.fourier import fft, ifft

__all__ = ["CoilCompression", "compress_geometric", "compress_svd"]


@dataclass(frozen=True)
class CoilCompression:
    """Combination of coils into virtual coils, orthonormal, so that white noise stays white.

    Attributes
    ----------
    matrix : Tensor
        (virtual, coil), or one for each image row, (rows, virtual, coil).
    """

    matrix: Tensor

    @property
    def coils(self) -> int:
        """Number of virtual coils."""
        return int(self.matrix.shape[-2])

    def kspace(self, kspace: Tensor) -> Tensor:
        """Compress k-space (..., coil, rows, columns) to (..., virtual, rows, columns)."""
        if self.matrix.ndim == 2:
            return self.image(kspace)
        return fft(self.image(ifft(kspace, axes=(-2,))), axes=(-2,))

    def expand(self, maps: Tensor) -> Tensor:
        """Coil images or maps (..., coil, rows, columns) of virtual ones: the adjoint of `image`."""
        rule = "vc,...vrk->...crk" if self.matrix.ndim == 2 else "rvc,...vrk->...crk"
        return torch.einsum(rule, self.matrix.conj(), maps)

    def image(self, image: Tensor) -> Tensor:
        """Compress coil images or coil maps (..., coil, rows, columns)."""
        if image.shape[-3] != self.matrix.shape[-1]:
            raise ShapeError(f"coil compression of {self.matrix.shape[-1]} coils got {tuple(image.shape)}")
        rule = "vc,...crk->...vrk" if self.matrix.ndim == 2 else "rvc,...crk->...vrk"
        return torch.einsum(rule, self.matrix, image)


def compress_svd(kspace: Tensor, coils: int | None = None, energy: float = 0.99) -> CoilCompression:
    """Virtual coils along the principal components of the data.

    Parameters
    ----------
    kspace : Tensor
        Complex (coil, rows, columns), best whitened; zeros where not acquired.
    coils : int, optional
        Number of virtual coils; by default as many as `energy` needs.
    energy : float
        Part of the energy to keep where `coils` is not given.

    Returns
    -------
    CoilCompression
        Apply it with its method `kspace`.

    Raises
    ------
    ConfigError
        If `coils` or `energy` is out of range.

    References
    ----------
    Buehrer et al., Array compression for MRI with large coil arrays, MRM 57 (2007).
    """
    _check(kspace, coils, energy)
    vectors, values = _components(kspace.flatten(1))
    return CoilCompression(vectors[: coils or _enough(values, energy)])


def compress_geometric(kspace: Tensor, coils: int | None = None, energy: float = 0.99) -> CoilCompression:
    """Virtual coils of their own for each position along the readout (rows), aligned from row to row.

    A fully sampled readout allows a separate compression at each image row, where coils vary less: fewer virtual coils
    hold the same energy. Neighboring matrices are rotated onto each other, so that virtual sensitivities stay smooth.

    Parameters
    ----------
    kspace : Tensor
        Complex (coil, rows, columns), fully sampled along rows.
    coils, energy
        As for `compress_svd`; with `energy`, the row that needs most decides.

    Returns
    -------
    CoilCompression

    Raises
    ------
    ConfigError
        If `coils` or `energy` is out of range.

    References
    ----------
    Zhang et al., Coil compression for accelerated imaging with Cartesian sampling, MRM 69 (2013).
    """
    _check(kspace, coils, energy)
    hybrid = ifft(kspace, axes=(-2,)).permute(1, 0, 2)  # (row, coil, column)
    vectors, values = _components(hybrid)
    power = values.sum(-1)
    bright = power > 0.01 * power.max()  # rows outside the object need no coils
    count = coils or max((_enough(v, energy) for v in values[bright]), default=1)
    vectors = vectors[:, :count].clone()
    start = int(power.argmax())
    for row in (*range(start + 1, len(vectors)), *range(start - 1, -1, -1)):
        before = row - 1 if row > start else row + 1
        left, _, right = torch.linalg.svd(vectors[before] @ vectors[row].mH)
        vectors[row] = (left @ right) @ vectors[row]  # orthogonal Procrustes
    return CoilCompression(vectors)


def _check(kspace: Tensor, coils: int | None, energy: float) -> None:
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ShapeError(
            f"coil compression: kspace must be complex (coil, rows, columns), got {kspace.dtype} {tuple(kspace.shape)}"
        )
    if coils is not None and not 1 <= coils <= kspace.shape[0]:
        raise ConfigError(f"coil compression: virtual coils must lie between 1 and {kspace.shape[0]}, got {coils}")
    if not 0 < energy <= 1:
        raise ConfigError(f"coil compression: energy must be above 0 and at most 1, got {energy}")


def _components(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Principal components (..., component, coil), conjugated to combine coils, and their energies, largest first."""
    values, vectors = torch.linalg.eigh(samples @ samples.mH)
    return vectors.mH.flip(-2), values.flip(-1).clamp(min=0)


def _enough(values: Tensor, energy: float) -> int:
    """How many components hold this part of the energy."""
    total = float(values.sum())
    if total == 0:
        return 1
    return min(int((values.cumsum(0) < (energy - 1e-6) * total).sum()) + 1, len(values))
