"""What a simulated scanner does to an image: phase, coil sensitivities, readout oversampling, noise; slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from kascade.data.simulation.coils import loop_coil_maps
from kascade.data.simulation.smooth import SmoothNoise
from kascade.data.slices import SliceSource
from kascade.physics.fourier import fft

__all__ = [
    "Geometry",
    "SimulatedKspace",
    "SimulatedMaps",
    "SimulatedTargets",
    "combined_snr",
    "image_support",
    "object_phase",
    "white_noise",
]

SUPPORT = 0.05  # of the 99th percentile of an image: what is brighter belongs to its support
PHASE_LENGTH_MM = 80.0


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a scan lie in its coils.

    Attributes
    ----------
    shape : tuple of int
        (rows, columns) of k-space, readout oversampling included.
    rows : int
        Rows of the images.
    spacing_mm : tuple of float
        Distance of rows and of columns.
    positions_mm : tuple of float
        Position of each slice.
    orientation : str
        As for `kascade.data.simulation.coils.pixel_positions`.
    coils : int
        Number of coils.
    """

    shape: tuple[int, int]
    rows: int
    spacing_mm: tuple[float, float]
    positions_mm: tuple[float, ...]
    orientation: str
    coils: int

    def maps(self, index: int) -> Tensor:
        """Coil maps of a slice, complex64, shape (coil, rows, columns) of k-space."""
        fov_mm = (self.shape[0] * self.spacing_mm[0], self.shape[1] * self.spacing_mm[1])
        return loop_coil_maps(
            self.shape,
            self.coils,
            fov_mm,
            slice_position_mm=self.positions_mm[index],
            orientation=self.orientation,
        )

    def extend(self, image: Tensor) -> Tensor:
        """Image with rows of zeros around it as k-space needs; row n // 2 stays the center."""
        above = self.shape[0] // 2 - self.rows // 2
        return pad(image, (0, 0, above, self.shape[0] - self.rows - above))

    def phase(self, index: int, strength_rad: float, seed: int) -> Tensor:
        """Phase of the object in a slice, in radians, shape (rows, columns) of the images."""
        x, y = (
            (torch.arange(n, dtype=torch.float64) - n // 2) * d
            for n, d in ((self.shape[1], self.spacing_mm[1]), (self.rows, self.spacing_mm[0]))
        )
        return object_phase(x, y, self.positions_mm[index], strength_rad, seed)


def object_phase(x_mm: Tensor, y_mm: Tensor, z_mm: float, strength_rad: float, seed: int) -> Tensor:
    """Smooth random phase: a second-order polynomial in the plane, and a smooth random field in space.

    Parameters
    ----------
    x_mm, y_mm : Tensor
        Column and row coordinates, shapes (columns,) and (rows,).
    z_mm : float
        Position of the slice.
    strength_rad : float
        Standard deviation over a disc of radius 80 mm, roughly; three quarters of the variance are the polynomial's.
    seed : int
        Equal seeds give the same phase in space, whatever the grid.

    Returns
    -------
    Tensor
        Radians, dtype of `x_mm`, shape (rows, columns).
    """
    rng = np.random.default_rng((seed, 9))
    constant, weights = rng.uniform(-np.pi, np.pi), rng.standard_normal(5)
    variances = np.array([1 / 4, 1 / 4, 1 / 16, 1 / 24, 1 / 16])  # of u, v, u^2, uv, v^2 over the unit disc
    weights = weights * np.sqrt(0.75 / (weights**2 @ variances))
    u, v = x_mm[None, :] / 80, y_mm[:, None] / 80
    a, b, c, d, e = weights.tolist()
    polynomial = a * u + b * v + c * u**2 + d * u * v + e * v**2
    field = SmoothNoise((seed, 10), PHASE_LENGTH_MM).plane(x_mm, y_mm, z_mm)
    phase: Tensor = constant + strength_rad * (polynomial + 0.5 * field)
    return phase


def image_support(image: Tensor) -> Tensor:
    """Where an image shows something: magnitude above a twentieth of its bright pixels' (99th percentile of non-zeros).

    Parameters
    ----------
    image : Tensor
        Real or complex, any shape.

    Returns
    -------
    Tensor
        Boolean, same shape; all False for an image of zeros.
    """
    magnitude = image.abs()
    bright = magnitude[magnitude > 0]
    if not bright.numel():
        return torch.zeros_like(magnitude, dtype=torch.bool)
    rank = max(1, round(0.99 * bright.numel()))
    return magnitude > SUPPORT * bright.kthvalue(rank).values


def combined_snr(image: Tensor, maps: Tensor, covariance: Tensor) -> float:
    """SNR of the fully sampled SENSE combination, which weights coils by maps and inverse noise covariance.

    The variance of a pixel is then 1 / (s^H C^-1 s) (K. P. Pruessmann et al., Magn Reson Med 42:952, 1999, eq. 21,
    without reduction).

    Parameters
    ----------
    image : Tensor
        Noise-free, (rows, columns).
    maps : Tensor
        Complex (coil, rows, columns).
    covariance : Tensor
        Complex (coil, coil), of k-space samples and thus, the Fourier transform being orthonormal, of pixels.

    Returns
    -------
    float
        Mean magnitude over `image_support` divided by the root mean square over it of the complex noise's standard
        deviation.
    """
    support = image_support(image)
    root = torch.linalg.cholesky(covariance.to(torch.complex128))
    white = torch.linalg.solve_triangular(root, maps[:, support].to(torch.complex128), upper=False)
    variance = 1 / (white.abs() ** 2).sum(0)
    return float(image[support].abs().double().mean() / variance.mean().sqrt())


def white_noise(shape: Sequence[int], rng: np.random.Generator) -> Tensor:
    """Complex Gaussian noise of unit variance, complex64, of `shape`."""
    pairs = torch.from_numpy(rng.standard_normal((*shape, 2), dtype=np.float32))
    return torch.view_as_complex(pairs) / 2**0.5


@dataclass(frozen=True)
class SimulatedKspace:
    """k-space of each slice, computed when it is read.

    Attributes
    ----------
    images : SliceSource
        Objects, (slices, rows, columns), real or complex.
    geometry : Geometry
        Of the scan.
    phase_rad : float
        Strength of the object's phase.
    noise_root : Tensor or None
        Lower Cholesky factor of the noise covariance, complex (coil, coil); None: no noise.
    seed : int
        Seed of phase and noise.
    noise_seed : int
        Another noise for the same object.
    """

    images: SliceSource
    geometry: Geometry
    phase_rad: float
    noise_root: Tensor | None
    seed: int
    noise_seed: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, coil, rows, columns)."""
        return (self.images.shape[0], self.geometry.coils, *self.geometry.shape)

    def __getitem__(self, index: int) -> Tensor:
        phase = self.geometry.phase(index, self.phase_rad, self.seed)
        image = self.images[index] * torch.polar(torch.ones_like(phase), phase).to(torch.complex64)
        kspace = fft(self.geometry.maps(index) * self.geometry.extend(image))
        return kspace if self.noise_root is None else kspace + self.noise(index)

    def noise(self, index: int) -> Tensor:
        """Noise of slice `index`, complex64, (coil, rows, columns); there must be some."""
        rng = np.random.default_rng((self.seed, 11, index, *(self.noise_seed,) * (self.noise_seed > 0)))
        assert self.noise_root is not None
        return torch.einsum("ij,jrc->irc", self.noise_root.to(torch.complex64), white_noise(self.shape[1:], rng))


@dataclass(frozen=True)
class SimulatedMaps:
    """True coil maps of each slice, computed when they are read."""

    geometry: Geometry

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, coil, rows, columns)."""
        return (len(self.geometry.positions_mm), self.geometry.coils, *self.geometry.shape)

    def __getitem__(self, index: int) -> Tensor:
        return self.geometry.maps(index)


@dataclass(frozen=True)
class SimulatedTargets:
    """Noise-free root sum of squares of each slice: the magnitude of the object, for the maps are normalized."""

    images: SliceSource

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, rows, columns)."""
        return tuple(self.images.shape)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].abs()
