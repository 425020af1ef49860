"""Simulated scans of a head that moves between shots; object and motion are drawn on a grid twice as fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kascade.data.scan import Scan
from kascade.data.simulation.acquisition import Geometry, SimulatedKspace
from kascade.data.simulation.phantom import HeadSlices
from kascade.data.simulation.trajectory import SEVERITIES, random_motion, shot_order
from kascade.data.slices import Slices, SliceSource
from kascade.errors import ConfigError, ShapeError
from kascade.physics.espirit import espirit
from kascade.physics.fourier import fft, ifft
from kascade.physics.rss import rss
from kascade.physics.shot_plan import make_plan, shot_columns

__all__ = ["FINER", "MovingKspace", "moving_samples", "moving_scan"]

FINER = 2  # columns and rows of the object for each of k-space
ACS = 24  # central columns of the calibration without motion


def moving_samples(image: Tensor, maps: Tensor, motion: Tensor, shots: Tensor, spacing: tuple[float, float]) -> Tensor:
    """Noise-free k-space of an object that moves between shots.

    Parameters
    ----------
    image : Tensor
        The object at rest, (rows, columns) of a grid `FINER` times as fine as that of the result.
    maps : Tensor
        Coil maps, complex (coil, rows, columns) of that grid.
    motion : Tensor
        (shots, 3), in px of the coarse grid and degrees.
    shots : Tensor
        Shot of each column of the result; columns of shot -1 stay zero.
    spacing : tuple of float
        Pixel sizes.

    Returns
    -------
    Tensor
        complex64 (coil, rows, columns), the central part of the object's k-space.
    """
    all_rows, all_columns = image.shape
    rows, columns = all_rows // FINER, all_columns // FINER
    own = shot_columns(shots.tolist(), [[shot] for shot in range(len(motion))], torch.ones(columns))
    left, top = all_columns // 2 - columns // 2, all_rows // 2 - rows // 2
    finer = motion * torch.tensor([FINER, FINER, 1])
    plan = make_plan(maps, finer, [left + part for part in own], torch.ones(all_columns), spacing=spacing)
    samples = plan.scatter(plan.forward(image.to(torch.complex64)))[..., left : left + columns]
    return fft(samples, (-2,))[:, top : top + rows] / FINER


@dataclass(frozen=True)
class MovingKspace:
    """k-space of an object that moves between shots, computed when it is read.

    Attributes
    ----------
    still : SimulatedKspace
        The scan without motion.
    motion : Tensor
        (shots, 3), in px of the images and degrees.
    shots : Tensor
        (columns,); columns of shot -1 stay zero.
    """

    still: SimulatedKspace
    motion: Tensor
    shots: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, coil, rows, columns)."""
        return self.still.shape

    def __getitem__(self, index: int) -> Tensor:
        kspace = self.noiseless(index)
        return kspace if self.still.noise_root is None else kspace + self.still.noise(index) * (self.shots >= 0)

    def noiseless(self, index: int) -> Tensor:
        """k-space of slice `index` without noise, complex64 (coil, rows, columns)."""
        geometry = _finer(self.still.geometry)
        phase = geometry.phase(index, self.still.phase_rad, self.still.seed)
        image = geometry.extend(self._object[index] * torch.polar(torch.ones_like(phase), phase))
        return moving_samples(image, geometry.maps(index), self.motion, self.shots, geometry.spacing_mm)

    @cached_property
    def _object(self) -> SliceSource:
        images = self.still.images
        if isinstance(images, HeadSlices):
            slices, rows, columns = images.shape
            return replace(images, shape=(slices, FINER * rows, FINER * columns))
        return _Interpolated(images)


@dataclass(frozen=True)
class _Interpolated:
    """Images on a grid that is `FINER` times as fine, by cubic splines."""

    images: SliceSource

    @property
    def shape(self) -> tuple[int, ...]:
        slices, rows, columns = self.images.shape
        return slices, FINER * rows, FINER * columns

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index]
        if image.is_complex():
            return torch.complex(_interpolate(image.real), _interpolate(image.imag))
        return _interpolate(image).clamp(min=0)


def _interpolate(image: Tensor) -> Tensor:
    from scipy import ndimage

    shape = [FINER * n for n in image.shape]
    offset = [n // 2 - m // 2 / FINER for n, m in zip(image.shape, shape, strict=True)]  # the centers agree
    fine = ndimage.affine_transform(image.double().numpy(), [1 / FINER] * 2, offset, tuple(shape), order=3)
    return torch.from_numpy(fine).to(image.dtype)


@dataclass(frozen=True)
class _Truth:
    """Root sum of squares of the noise-free k-space without motion, (slices, rows, columns) of the images."""

    kspace: MovingKspace

    @property
    def shape(self) -> tuple[int, ...]:
        slices, _, _, columns = self.kspace.shape
        return slices, self.kspace.still.geometry.rows, columns

    def __getitem__(self, index: int) -> Tensor:
        rows, all_rows = self.shape[1], self.kspace.shape[2]
        top = all_rows // 2 - rows // 2
        return rss(ifft(self.kspace.noiseless(index)))[top : top + rows]


@dataclass(frozen=True)
class _Calibration:
    """Coil maps by ESPIRiT from the central columns of a scan without motion, that has a noise of its own."""

    kspace: MovingKspace

    @property
    def shape(self) -> tuple[int, ...]:
        return self.kspace.shape

    def __getitem__(self, index: int) -> Tensor:
        return espirit(self.kspace[index], acs=ACS)


def moving_scan(
    scan: Scan,
    motion: str | Tensor | Sequence[Sequence[float]] = "moderate",
    shots: int = 16,
    order: str = "interleaved",
    seed: int = 0,
    true_maps: bool = False,
) -> Scan:
    """The same scan of a head that moves between shots.

    Object, phase and coils are those of `scan` on a grid twice as fine, where the object is moved; k-space is cut to
    its matrix: what is reconstructed later was not made by the operator that reconstructs it.

    Parameters
    ----------
    scan : Scan
        As `kascade.data.simulate_scan` and its like give it, all slices.
    motion : str or Tensor
        A key of `kascade.data.simulation.trajectory.SEVERITIES`, or the motion itself, (shots, 3), as for
        `kascade.physics.RigidMotion`.
    shots : int
        Number of shots, where `motion` is a severity.
    order : str
        As for `kascade.data.simulation.trajectory.shot_order`.
    seed : int
        Of the motion.
    true_maps : bool
        Give the scan the true coil maps, instead of those of a calibration without motion.

    Returns
    -------
    Scan
        With `shots`, `motion`, coil maps, and the image of the object at rest as target.

    Raises
    ------
    ConfigError
        If `scan` is not a simulation or an argument has no meaning.
    ShapeError
        If `motion` has another shape.
    """
    still = scan.kspace.source
    if not isinstance(still, SimulatedKspace) or scan.maps is None:
        raise ConfigError(f"moving_scan of {scan.name}: expected a scan as simulate_scan gives it")
    columns = still.shape[-1]
    if isinstance(motion, str):
        if motion not in SEVERITIES:
            raise ConfigError(f"motion {motion!r}: expected one of {', '.join(SEVERITIES)}")
        which = shot_order(columns, shots, order)
        path = random_motion(shots, SEVERITIES[motion], int(which[columns // 2]), seed)
    else:
        path = torch.as_tensor(motion, dtype=torch.float32)
        if path.ndim != 2 or path.shape[1] != 3 or not len(path):
            raise ShapeError(f"motion has shape {tuple(path.shape)}; expected (shots, 3): two shifts in px, an angle")
        which = shot_order(columns, len(path), order)
    at_rest = MovingKspace(still, torch.zeros(1, 3), torch.zeros(columns, dtype=torch.int64))
    central = torch.where((torch.arange(columns) - columns // 2 + ACS // 2) // ACS == 0, 0, -1)
    calibration = MovingKspace(replace(still, noise_seed=1), torch.zeros(1, 3), central)
    return replace(
        scan,
        kspace=replace(scan.kspace, source=MovingKspace(still, path, which)),
        targets=Slices(_Truth(at_rest), torch.float32, f"{scan.name}: target"),
        maps=scan.maps if true_maps else Slices(_Calibration(calibration), torch.complex64, f"{scan.name}: maps"),
        shots=which,
        motion=path,
    )


def _finer(geometry: Geometry) -> Geometry:
    (rows, columns), (dy, dx) = geometry.shape, geometry.spacing_mm
    return replace(
        geometry,
        shape=(FINER * rows, FINER * columns),
        rows=FINER * geometry.rows,
        spacing_mm=(dy / FINER, dx / FINER),
    )
