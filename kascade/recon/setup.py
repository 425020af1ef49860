"""From a slice of a scan to the problem that a method solves: k-space, encoding operator, intensity."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kascade.data.mask_analysis import acs_rectangle, infer_mask, true_acceleration
from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics import Encoding, ShotEncoding
from kascade.physics.compression import CoilCompression, compress_svd
from kascade.physics.espirit import espirit
from kascade.physics.motion import XStep
from kascade.physics.noise import corner_noise, noise_covariance, rss_weight, whiten, whitening_matrix
from kascade.physics.rss import rss
from kascade.recon.motion import MOTION, encode_motion

__all__ = ["Problem", "Setup", "calibration_size"]

MAX_ACS_ROWS, MAX_ACS_COLUMNS = 48, 24
WHITENING = ("stored", "corners", "none")


@dataclass(frozen=True)
class Problem:
    """One slice, ready to be solved: find x with E x = y.

    Attributes
    ----------
    y : Tensor
        k-space, complex (coil, rows, columns).
    E : Encoding or ShotEncoding
        Encoding operator of the slice, with motion where that is accounted for; `E.sets` is None for one map set.
    intensity : Tensor
        Real ([set,] rows, columns): what the raw coils' RSS of an image of ones is. It gives an image of whitened coils
        the intensity of the raw ones, and one of soft maps that of the object.
    info : dict
        How it was set up: for the report.
    """

    y: Tensor
    E: Encoding | ShotEncoding
    intensity: Tensor
    info: dict[str, Any]

    def final(self, image: Tensor) -> Tensor:
        """Image as delivered: RSS over map sets, raw intensity, (rows, columns)."""
        image = image * self.intensity
        return image if self.E.sets is None else torch.linalg.vector_norm(image, dim=0)


@dataclass(frozen=True)
class Setup:
    """How a slice is prepared; the options that every method shares.

    Parameters
    ----------
    sets : int
        Number of ESPIRiT map sets; 2 where the field of view is smaller than the object.
    acs : int or (int, int), optional
        Calibration region, columns or (rows, columns). By default the fully sampled center of the mask, at most 48 x
        24.
    whitening : {"stored", "corners", "none"}
        Whiten coil noise with the noise stored in the scan (where there is none, not at all), or with noise estimated
        from the corners of k-space, or never.
    device : str
        torch device.
    virtual_coils : int, optional
        Compress to so many virtual coils (SVD) before anything else is computed: less time and memory.
    motion : {"none", "stored", "estimate"}
        Motion between shots: not accounted for, taken from the scan, or estimated from the data.
    """

    sets: int = 1
    acs: int | tuple[int, int] | None = None
    whitening: str = "stored"
    device: str = "cpu"
    virtual_coils: int | None = None
    motion: str = "none"

    def __post_init__(self) -> None:
        if self.whitening not in WHITENING:
            raise ConfigError(f"whitening must be one of {', '.join(WHITENING)}, got {self.whitening!r}")
        if self.motion not in MOTION:
            raise ConfigError(f"motion must be one of {', '.join(MOTION)}, got {self.motion!r}")
        if self.sets < 1:
            raise ConfigError(f"sets must be 1 or more, got {self.sets}")

    def problem(self, scan: Scan, index: int, x_step: XStep | None = None) -> Problem:
        """Prepare slice `index` of `scan`: whiten, find mask, maps and motion, build E.

        The maps are those of the scan where it has them (they must then belong to the raw coils), else ESPIRiT's.
        `x_step` makes images while motion is estimated, see `kascade.physics.motion.estimate_motion`.

        Raises
        ------
        ConfigError
            If k-space has no calibration region for ESPIRiT, or motion is to be accounted for and the scan does not
            say which shot acquired what.
        """
        kspace = scan.kspace[index].to(self.device)
        whitener, noise = self._whitener(scan, kspace)
        y = kspace if whitener is None else whiten(kspace, whitener)
        compression = None if self.virtual_coils is None else compress_svd(y, self.virtual_coils)
        y = y if compression is None else compression.kspace(y)
        mask = scan.mask.to(self.device) if scan.mask is not None else _inferred(kspace)
        if scan.maps is not None:
            maps, source = self._stored_maps(scan.maps[index].to(self.device), whitener, compression), "stored"
        else:
            maps, source = self._calibrate(y, mask), "espirit"
        sets = maps.shape[0] if maps.ndim == 4 else None
        raw = maps if compression is None else compression.expand(maps)
        intensity = rss(raw) if whitener is None else rss_weight(raw, whitener)
        info = {
            "maps": source,
            "sets": sets or 1,
            "whitening": noise,
            "coils": y.shape[0],
            "true_acceleration": 1.0 if mask is None else round(true_acceleration(mask), 4),
        }
        E = Encoding(maps, mask, sets=sets)
        if self.motion == "none":
            return Problem(y, E, intensity, info)
        if source == "espirit":
            warnings.warn(
                "coil maps were calibrated from data in which the head moved, and carry the motion: give maps of a "
                "scan at rest in the data set maps",
                stacklevel=2,
            )
        moving = encode_motion(self.motion, scan, y, E, x_step)
        return Problem(moving.y, moving.E, intensity, {**info, "motion": moving.info})

    def _whitener(self, scan: Scan, kspace: Tensor) -> tuple[Tensor | None, str]:
        if self.whitening == "corners":
            return whitening_matrix(noise_covariance(corner_noise(kspace))), "corners"
        if self.whitening == "stored" and scan.noise_covariance is not None:
            return whitening_matrix(scan.noise_covariance.to(self.device)), "stored"
        if self.whitening == "stored" and scan.noise is not None:
            return whitening_matrix(noise_covariance(scan.noise.to(self.device))), "stored"
        return None, "none"

    def _stored_maps(self, maps: Tensor, whitener: Tensor | None, compression: CoilCompression | None) -> Tensor:
        """Maps of the scan, carried to the whitened and compressed coils and brought to unit norm."""
        if whitener is not None:
            maps = whiten(maps, whitener)
        if compression is not None:
            maps = compression.image(maps)
        norm = rss(maps).unsqueeze(-3)
        if maps.ndim == 4:
            return maps / norm.max().clamp(min=1e-30)  # several sets keep their weights: soft maps fade out
        return torch.where(norm > 0, maps / torch.where(norm > 0, norm, 1), 0)

    def _calibrate(self, y: Tensor, mask: Tensor | None) -> Tensor:
        size = self.acs if self.acs is not None else calibration_size(y.shape[-2:], mask)
        return espirit(y, acs=size, sets=self.sets, soft=self.sets > 1)


def _inferred(kspace: Tensor) -> Tensor | None:
    """Mask of the samples that are not exactly zero in every coil; None for an all-zero slice too."""
    return infer_mask(kspace) if bool(kspace.any()) else None


def calibration_size(shape: torch.Size | tuple[int, ...], mask: Tensor | None) -> tuple[int, int]:
    """Largest fully sampled block (rows, columns) centered in k-space, at most 48 by 24.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of k-space.
    mask : Tensor, optional
        (columns,) or (rows, columns); absent: fully sampled.
    """
    rows, columns = shape
    if mask is None:
        return min(rows, MAX_ACS_ROWS), min(columns, MAX_ACS_COLUMNS)
    sampled = acs_rectangle(mask if mask.ndim == 2 else mask.expand(rows, columns))
    sizes = [2 * min(n // 2 - s.start, s.stop - n // 2) for n, s in zip(shape, sampled, strict=True)]
    return min(sizes[0], MAX_ACS_ROWS), min(sizes[1], MAX_ACS_COLUMNS)
