"""Simulated scans: images, a NIfTI volume or the head phantom become multi-coil k-space with noise, slice by slice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data.header import Header
from kascade.data.scan import Scan
from kascade.data.simulation.acquisition import Geometry, SimulatedKspace, SimulatedMaps, SimulatedTargets, combined_snr
from kascade.data.simulation.coils import coil_noise_covariance
from kascade.data.simulation.geometry import check_orientation, field_of_view
from kascade.data.simulation.phantom import HeadSlices
from kascade.data.slices import MemorySource, SliceSource
from kascade.errors import ConfigError, ShapeError

__all__ = ["simulate_head", "simulate_scan", "simulate_volume"]


def simulate_scan(
    images: Tensor | NDArray[Any] | SliceSource,
    *,
    coils: int = 8,
    snr: float = 30.0,
    seed: int = 0,
    fov_mm: float | Sequence[float] = 240.0,
    slice_positions_mm: Sequence[float] | None = None,
    slice_thickness_mm: float = 5.0,
    orientation: str = "axial",
    noise_covariance: Tensor | None = None,
    phase_rad: float = 1.0,
    readout_oversampling: float = 1.0,
    name: str = "simulated",
    protocol: str = "simulation",
) -> Scan:
    """Fully sampled multi-coil scan of given images.

    k-space of slice i is ``fft(s * x) + n``: x the image with a smooth phase, s the sensitivities of `loop_coil_maps`
    (sum over coils of abs squared = 1), n complex Gaussian noise, correlated between coils. Slices are computed when
    they are read, always with the same result.

    Parameters
    ----------
    images : Tensor, array or slice source
        Real or complex, (slices, rows, columns), or (rows, columns) for one slice; or any object with that ``shape``
        that gives one slice at a time.
    coils : int
        Number of receive coils.
    snr : float
        Mean magnitude over the support divided by the complex noise standard deviation (root mean square over the
        support), in the fully sampled SENSE combination with the true maps and noise covariance, in the slice whose
        magnitudes add up to most. ``math.inf``: no noise.
    seed : int
        Seed of noise, phase and noise covariance.
    fov_mm : float or sequence of float
        Field of view of the images (along rows, along columns).
    slice_positions_mm : sequence of float, optional
        Distance of each slice from the center of the coils; by default the stack is centered there.
    slice_thickness_mm : float
        Distance of neighboring slices.
    orientation : str
        ``axial``, ``coronal`` or ``sagittal``: how the slices lie in the coils.
    noise_covariance : Tensor, optional
        Complex (coil, coil), of which `snr` sets the scale; by default that of `coil_noise_covariance`.
    phase_rad : float
        Strength of the smooth phase of the object: its standard deviation over the head is about this.
    readout_oversampling : float
        Factor by which the readout (along rows) is oversampled: k-space has that many times the rows, its field of
        view is that much longer and empty outside the object. `Scan.without_oversampling` undoes it exactly.
    name, protocol : str
        Names of the scan and of its protocol in the header.

    Returns
    -------
    Scan
        With true `maps`, `noise_covariance`, and the noise-free root sum of squares, which is the magnitude of
        `images`, as target.

    Raises
    ------
    ShapeError
        If `images` or `noise_covariance` has another shape, or images are not finite.
    ConfigError
        If another argument has no meaning, or the images are all zero.
    """
    source = _image_source(images)
    slices, rows, columns = source.shape
    height, width = field_of_view(fov_mm)
    _require(phase_rad=phase_rad, slice_thickness_mm=slice_thickness_mm)
    if seed < 0 or coils < 1 or not snr > 0 or slice_thickness_mm <= 0:
        raise ConfigError(
            f"simulate_scan: seed {seed}, coils {coils}, snr {snr}, slice_thickness_mm {slice_thickness_mm}: expected "
            "a seed from 0, at least one coil, and a positive SNR and thickness"
        )
    geometry = Geometry(
        shape=(_oversampled(rows, readout_oversampling), columns),
        rows=rows,
        spacing_mm=(height / rows, width / columns),
        positions_mm=_positions(slice_positions_mm, slices, slice_thickness_mm),
        orientation=check_orientation(orientation),
        coils=coils,
    )
    covariance = _covariance(noise_covariance, coils, seed)
    strongest, largest, norm = _survey(source)
    if np.isfinite(snr):
        unscaled = combined_snr(geometry.extend(source[strongest]), geometry.maps(strongest), covariance)
        covariance = covariance * (unscaled / snr) ** 2
    noisy = bool(np.isfinite(snr))
    root = torch.linalg.cholesky(covariance) if noisy else None
    return Scan.from_source(
        SimulatedKspace(source, geometry, phase_rad, root, seed),
        name=name,
        maps=SimulatedMaps(geometry),
        targets=SimulatedTargets(source),
        noise_covariance=covariance.to(torch.complex64) if noisy else None,
        header=_header(geometry, slice_thickness_mm, protocol),
        attributes={"acquisition": protocol, "max": largest, "norm": norm, "snr": float(snr), "seed": seed},
    )


def simulate_head(
    shape: Sequence[int] = (8, 256, 256),
    *,
    contrast: str | Mapping[str, float] = "t1",
    seed: int = 0,
    fov_mm: float | Sequence[float] = 240.0,
    slice_positions_mm: Sequence[float] | None = None,
    **scan_options: Any,
) -> Scan:
    """Scan of the built-in head phantom, each slice drawn when it is read.

    Parameters
    ----------
    shape : sequence of int
        (slices, rows, columns) of the images.
    contrast, seed, fov_mm, slice_positions_mm
        As for `kascade.data.simulation.phantom.head_volume`; the seed chooses the head, its phase and its noise.
    **scan_options
        Further arguments of `simulate_scan`.

    Returns
    -------
    Scan
        As from `simulate_scan`.

    Raises
    ------
    ShapeError, ConfigError
        As from `simulate_scan` and `kascade.data.simulation.phantom.head_volume`.
    """
    head = HeadSlices.stack(shape, slice_positions_mm, contrast, seed, fov_mm)
    positions = head.positions_mm
    label = contrast if isinstance(contrast, str) else "custom"
    options: dict[str, Any] = {"name": f"head-{seed}", "protocol": f"phantom {label}", **scan_options}
    if "slice_thickness_mm" not in options and len(positions) > 1:
        options["slice_thickness_mm"] = abs(positions[1] - positions[0]) or 5.0
    return simulate_scan(head, seed=seed, fov_mm=fov_mm, slice_positions_mm=positions, **options)


def simulate_volume(
    path: str | os.PathLike[str],
    *,
    slices: str | tuple[int, int] | None = None,
    orientation: str = "axial",
    **scan_options: Any,
) -> Scan:
    """Scan of a NIfTI volume, which is taken as the magnitude of the object.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file; negative voxels count as 0.
    slices : str or tuple of int, optional
        ``A:B`` or (A, B): slices A to B - 1, counted from 0 from feet to head (axial), back to front (coronal) or left
        to right (sagittal). All by default.
    orientation : str
        ``axial`` (nose up, patient's right on the left), ``coronal`` or ``sagittal`` (head up).
    **scan_options
        Further arguments of `simulate_scan`; field of view and slice positions come from the file.

    Returns
    -------
    Scan
        As from `simulate_scan`; what was wrong with the file is in its `notes`.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    ConfigError
        If `slices` or another argument has no meaning.
    """
    from kascade.data.nifti import read_volume

    order = _VOLUME_AXES[check_orientation(orientation)]
    volume = read_volume(path)
    images = volume.data.permute(order).flip(1, 2).clamp(min=0)
    first, last = _slice_range(slices, len(images), str(path))
    thickness, height, width = (volume.spacing_mm[axis] for axis in order)
    scan = simulate_scan(
        images[first:last],
        fov_mm=(height * images.shape[1], width * images.shape[2]),
        slice_positions_mm=[(i - (len(images) - 1) / 2) * thickness for i in range(first, last)],
        slice_thickness_mm=thickness,
        orientation=orientation,
        **{"name": volume.name, **scan_options},
    )
    return replace(scan, notes=volume.problems)


# Axes (slice, row, column) of a volume (right, anterior, superior); rows and columns are then reversed: they run as
# in `ORIENTATIONS`, where x is the patient's left.
_VOLUME_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}


def _image_source(images: Tensor | NDArray[Any] | SliceSource) -> SliceSource:
    if isinstance(images, (Tensor, np.ndarray)):
        tensor = torch.as_tensor(images)
        tensor = tensor.detach().to(torch.complex64 if tensor.is_complex() else torch.float32)
        images = MemorySource(tensor[None] if tensor.ndim == 2 else tensor)
    if len(images.shape) != 3 or min(images.shape) < 1:
        raise ShapeError(f"images have shape {tuple(images.shape)}: expected (slices, rows, columns), none of them 0")
    return images


def _survey(images: SliceSource) -> tuple[int, float, float]:
    """Slice whose magnitudes add up to most, largest magnitude of all, and root sum of squares of all."""
    sums, largest, energy = [], 0.0, 0.0
    for index in range(images.shape[0]):
        magnitude = images[index].abs().double()
        if not torch.isfinite(magnitude.sum()):
            raise ConfigError(f"images: slice {index} holds NaN or Inf; expected finite values")
        sums.append(float(magnitude.sum()))
        largest = max(largest, float(magnitude.max()))
        energy += float((magnitude**2).sum())
    if largest == 0:
        raise ConfigError("images are all zero: there is nothing to simulate; choose other slices")
    return int(np.argmax(sums)), largest, energy**0.5


def _covariance(given: Tensor | None, coils: int, seed: int) -> Tensor:
    """Noise covariance before its scale is set, complex128."""
    if given is None:
        return coil_noise_covariance(coils, seed=seed).to(torch.complex128)
    covariance = torch.as_tensor(given).detach().to(torch.complex128)
    if tuple(covariance.shape) != (coils, coils):
        raise ShapeError(f"noise_covariance has shape {tuple(covariance.shape)}: expected {(coils, coils)}")
    skew = (covariance - covariance.mH).abs().max()
    if not skew <= 1e-4 * covariance.abs().max() or torch.linalg.cholesky_ex(covariance).info != 0:
        raise ConfigError("noise_covariance is not Hermitian and positive definite")
    return (covariance + covariance.mH) / 2


def _oversampled(rows: int, factor: float) -> int:
    if not 1 <= factor < float("inf") or abs(rows * factor - round(rows * factor)) > 1e-6:
        raise ConfigError(
            f"readout_oversampling is {factor:g} for {rows} rows: expected at least 1, and a whole number of rows"
        )
    return round(rows * factor)


def _positions(given: Sequence[float] | None, slices: int, thickness_mm: float) -> tuple[float, ...]:
    if given is None:
        return tuple((i - (slices - 1) / 2) * thickness_mm for i in range(slices))
    if len(given) != slices:
        raise ShapeError(f"slice_positions_mm has {len(given)} entries for {slices} slices: give one for each")
    positions = tuple(float(z) for z in given)
    _require(**{f"slice_positions_mm[{i}]": z for i, z in enumerate(positions)})
    return positions


def _require(**numbers: float) -> None:
    for name, value in numbers.items():
        if not np.isfinite(value):
            raise ConfigError(f"{name} is {value}: expected a finite number")


def _slice_range(slices: str | tuple[int, int] | None, count: int, where: str) -> tuple[int, int]:
    """First slice and the one after the last; either side of the colon may be empty."""
    if slices is None:
        return 0, count
    try:
        first, last = slices.split(":") if isinstance(slices, str) else slices
        start, stop = int(first or 0), int(last) if last != "" else count
    except (TypeError, ValueError):
        raise ConfigError(f"slices {slices!r}: expected A:B, two slice numbers") from None
    if not 0 <= start < stop <= count:
        raise ConfigError(f"slices {start}:{stop} of {where}, which has {count}: expected 0 <= A < B <= {count}")
    return start, stop


def _header(geometry: Geometry, thickness_mm: float, protocol: str) -> Header:
    (padded, columns), (dy, dx) = geometry.shape, geometry.spacing_mm
    return Header(
        encoded_matrix=(padded, columns, 1),
        recon_matrix=(geometry.rows, columns, 1),
        encoded_fov_mm=(padded * dy, columns * dx, thickness_mm),
        recon_fov_mm=(geometry.rows * dy, columns * dx, thickness_mm),
        phase_limits=(0, columns // 2, columns - 1),
        protocol=protocol,
        coils=geometry.coils,
        scanner="Kascade simulation",
    )
