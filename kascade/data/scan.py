"""Scan: one acquisition, read lazily. Every reader returns it, every writer takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data import views
from kascade.data.consistency import TARGETS, check_parts
from kascade.data.header import Header, crop_to_recon
from kascade.data.slices import MemorySource, SharedSource, Slices, SliceSource
from kascade.errors import ShapeError
from kascade.physics.noise import noise_covariance, whiten, whitening_matrix

__all__ = ["Header", "Scan", "crop_to_recon"]

ArrayOrTensor = Tensor | NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scan:
    """One multi-coil (or single-coil) Cartesian acquisition; immutable, picklable, holds no open file.

    Make one with `kascade.data.load`, `Scan.from_arrays` or, in a reader, `Scan.from_source`. Nothing is whitened,
    cropped or scaled unless a method that says so is called; those return new scans that read as lazily as this one.

    Attributes
    ----------
    kspace : Slices
        ``scan.kspace[i]`` is slice i, complex64, (coil, rows, columns); ``scan.kspace.shape`` counts slices first.
    mask : Tensor or None
        float32, (columns,) or (rows, columns): which samples were acquired; None where the file does not say. Columns
        outside the header's encoding limits are 0.
    maps : Slices or None
        ``scan.maps[i]``: stored coil maps of slice i, complex64, (coil, rows, columns) or (set, coil, rows, columns).
    targets : Slices or None
        ``scan.targets[i]``: stored reference image of slice i, float32, (rows, columns), often cropped.
    target_name : str
        Data set of the target, ``reconstruction_rss`` (several coils) or ``reconstruction_esc`` (one).
    shots : Tensor or None
        int64, (columns,): the shot that acquired each column; -1 for none.
    motion : Tensor or None
        float32, (shots, 3) or (shots, 6): rigid motion of each shot, shifts in px, then angles in degrees.
    noise : Tensor or None
        complex64, (coil, samples): samples of a noise-only acquisition.
    noise_covariance : Tensor or None
        complex64, (coil, coil): covariance of the noise, where it is known without `noise`.
    header : Header
        Matrix, field of view, limits, protocol; its fields are None where the file says nothing.
    attributes : mapping
        Further attributes of the file, such as ``acquisition``, ``patient_id``, ``max``, ``norm``.
    name : str
        File name without suffix.
    path : Path or None
        The file; None for a scan made in memory.
    notes : tuple of str
        What the reader noticed; part of `problems`.
    """

    kspace: Slices
    mask: Tensor | None = None
    maps: Slices | None = None
    targets: Slices | None = None
    target_name: str = TARGETS[0]
    shots: Tensor | None = None
    motion: Tensor | None = None
    noise: Tensor | None = None
    noise_covariance: Tensor | None = None
    header: Header = field(default_factory=Header)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = "scan"
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        check_parts(self)

    @classmethod
    def from_source(
        cls,
        kspace: SliceSource,
        *,
        name: str,
        path: Path | None = None,
        mask: ArrayOrTensor | None = None,
        maps: SliceSource | None = None,
        targets: SliceSource | None = None,
        target_name: str | None = None,
        shots: ArrayOrTensor | None = None,
        motion: ArrayOrTensor | None = None,
        noise: ArrayOrTensor | None = None,
        noise_covariance: ArrayOrTensor | None = None,
        header: Header | None = None,
        attributes: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> Scan:
        """Scan over a reader's sources; see `Scan` for the arguments.

        Parameters
        ----------
        kspace : SliceSource
            Has ``shape`` (slices, coil, rows, columns) and gives slice i, (coil, rows, columns), as ``kspace[i]``.

        Returns
        -------
        Scan
            Its mask is 0 in the columns that lie outside the header's encoding limits.

        Raises
        ------
        ShapeError
            If two of them do not fit each other.
        """
        where = str(path) if path is not None else name
        header = header or Header()
        stack = Slices(kspace, torch.complex64, f"{where}: kspace")
        if len(stack.shape) != 4 or min(stack.shape) < 1:
            raise ShapeError(f"kspace has shape {stack.shape}; expected (slices, coil, rows, columns), none of them 0")
        default_target = TARGETS[1] if stack.shape[1] == 1 else TARGETS[0]
        return cls(
            kspace=stack,
            mask=None if mask is None else views.masked_padding(_tensor(mask, torch.float32), header, stack.shape),
            maps=None if maps is None else Slices(maps, torch.complex64, f"{where}: maps"),
            targets=None if targets is None else Slices(targets, torch.float32, f"{where}: target"),
            target_name=target_name or default_target,
            shots=None if shots is None else _tensor(shots, torch.int64),
            motion=None if motion is None else _tensor(motion, torch.float32),
            noise=None if noise is None else _tensor(noise, torch.complex64),
            noise_covariance=None if noise_covariance is None else _tensor(noise_covariance, torch.complex64),
            header=header,
            attributes=attributes or {},
            name=name,
            path=path,
            notes=tuple(notes),
        )

    @classmethod
    def from_arrays(
        cls,
        kspace: ArrayOrTensor,
        mask: ArrayOrTensor | None = None,
        target: ArrayOrTensor | None = None,
        maps: ArrayOrTensor | None = None,
        header: Header | None = None,
        attributes: Mapping[str, Any] | None = None,
        name: str = "scan",
        **more: Any,
    ) -> Scan:
        """Scan of arrays in memory.

        Parameters
        ----------
        kspace : Tensor or array
            Complex, (slices, coil, rows, columns), or (coil, rows, columns) for one slice.
        mask : Tensor or array, optional
            (columns,) or (rows, columns).
        target : Tensor or array, optional
            Real, (slices, rows, columns), or (rows, columns) for one slice.
        maps : Tensor or array, optional
            Complex, (coil, rows, columns) for every slice, or (slices, [set,] coil, rows, columns).
        header, attributes, name
            See `Scan`.
        **more
            `shots`, `motion`, `noise`, `noise_covariance`, `target_name`, `notes` of `Scan`.

        Returns
        -------
        Scan

        Raises
        ------
        ShapeError
            If `kspace` is not complex or two of the arrays do not fit each other.
        """
        samples = torch.as_tensor(kspace)
        if not samples.is_complex():
            raise ShapeError(f"kspace: {samples.dtype} of shape {tuple(samples.shape)}; expected a complex array")
        if samples.ndim == 3:
            samples = samples[None]
        images = None if target is None else torch.as_tensor(target)
        if images is not None and images.ndim == 2:
            images = images[None]
        coil_maps = None if maps is None else maps_source(torch.as_tensor(maps), len(samples))
        return cls.from_source(
            MemorySource(samples),
            name=name,
            mask=mask,
            maps=coil_maps,
            targets=None if images is None else MemorySource(images),
            header=header,
            attributes=attributes,
            **more,
        )

    def __len__(self) -> int:
        return len(self.kspace)

    def __repr__(self) -> str:
        slices, coils, rows, columns = self.kspace.shape
        return f"Scan({self.name!r}, {slices} slices, {coils} coils, {rows} x {columns})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "attributes": dict(self.attributes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["attributes"] = MappingProxyType(state["attributes"])

    @property
    def coils(self) -> int:
        """Number of receive coils."""
        return self.kspace.shape[1]

    @property
    def matrix(self) -> tuple[int, int]:
        """(rows, columns) of the stored k-space."""
        return self.kspace.shape[2], self.kspace.shape[3]

    def target(self, index: int) -> Tensor | None:
        """Read the reference image of slice `index`, float32, (rows, columns); None where none is stored."""
        return None if self.targets is None else self.targets[index]

    def whitened(self, index: int) -> Tensor:
        """k-space of slice `index` with the coil noise made white and of unit variance.

        Returns
        -------
        Tensor
            complex64, (coil, rows, columns); the raw k-space where the scan holds neither `noise` nor
            `noise_covariance`.
        """
        kspace, covariance = self.kspace[index], self.noise_covariance
        if covariance is None and self.noise is not None:
            covariance = noise_covariance(self.noise)
        return kspace if covariance is None else whiten(kspace, whitening_matrix(covariance))

    def undersample(self, mask: ArrayOrTensor) -> Scan:
        """Undersample retrospectively.

        Parameters
        ----------
        mask : Tensor or array
            (columns,) or (rows, columns), 0 or 1 (or weights). Columns outside the header's encoding limits become
            0 in it, as in fastMRI's ``apply_mask``: they hold no acquired samples.

        Returns
        -------
        Scan
            k-space multiplied by `mask` when it is read; its mask is the product with the mask that was there.

        Raises
        ------
        ShapeError
            If the mask does not fit.
        """
        weights = views.masked_padding(_tensor(mask, torch.float32), self.header, self.kspace.shape)
        kspace = self.kspace.map(views.Masked(weights), self.kspace.shape[1:])
        return replace(self, kspace=kspace, mask=weights if self.mask is None else self.mask * weights)

    def without_oversampling(self) -> Scan:
        """Remove the readout oversampling that the header tells of, exactly: rows are halved as a rule.

        Returns
        -------
        Scan
            Image values stay as they are (`kascade.physics.oversampling`); maps, mask and header follow. This very
            scan where the header tells of none or does not fit k-space, and where the mask varies along rows:
            there, samples of the readout are missing, and nothing exact can be done without them. k-space that is
            undersampled along rows and comes without a mask must be given its mask first (`undersample`).
        """
        return views.without_oversampling(self)

    def with_maps(self, maps: ArrayOrTensor) -> Scan:
        """Scan with these coil maps: (coil, rows, columns) for every slice, or (slices, [set,] coil, rows, columns).

        Raises
        ------
        ShapeError
            If they do not fit k-space.
        """
        source = maps_source(torch.as_tensor(maps), len(self))
        return replace(self, maps=Slices(source, torch.complex64, f"{self.name}: maps"))

    def slices(self, start: int, stop: int) -> Scan:
        """Slices `start` to `stop` - 1 as a scan of their own, counted from 0.

        Raises
        ------
        ShapeError
            If there are not that many, or none is left.
        """
        if not 0 <= start < stop <= len(self):
            raise ShapeError(f"slices {start}:{stop} of {self.name}, which has {len(self)}: expected 0 <= A < B <= all")
        return replace(
            self,
            kspace=self.kspace.window(start, stop),
            maps=None if self.maps is None else self.maps.window(start, stop),
            targets=None if self.targets is None else self.targets.window(start, stop),
        )

    def problems(self) -> list[str]:
        """List what a user should know before reconstructing, one line each; reads every slice once."""
        from kascade.data.problems import find_problems

        return find_problems(self)


def maps_source(maps: Tensor, slices: int) -> SliceSource:
    """Source of maps (coil, rows, columns) for all slices, or (slices, [set,] coil, rows, columns)."""
    return SharedSource(maps, slices) if maps.ndim == 3 else MemorySource(maps)


def _tensor(array: ArrayOrTensor, dtype: torch.dtype) -> Tensor:
    return torch.as_tensor(array).detach().to(dtype)
