"""The zero-filled reconstruction: what the data look like when nothing is done about missing samples."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kascade.data.mask_analysis import true_acceleration
from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics import ifft
from kascade.physics.rss import rss
from kascade.recon.method import Progress, Reconstruction
from kascade.recon.setup import Setup

__all__ = ["ZeroFilled"]


@dataclass(frozen=True)
class ZeroFilled:
    """Inverse Fourier transform of each coil, root sum of squares over coils; missing samples count as zero."""

    setup: Setup = field(default_factory=Setup)

    def __post_init__(self) -> None:
        if self.setup.motion != "none":
            raise ConfigError("method 'zero-filled' cannot account for motion; choose another, or --motion none")

    def __call__(self, scan: Scan, index: int, progress: Progress | None = None) -> Reconstruction:
        """Reconstruct slice `index` of `scan`."""
        start = time.perf_counter()
        image = rss(ifft(scan.kspace[index].to(self.setup.device)))
        acceleration = 1.0 if scan.mask is None else round(true_acceleration(scan.mask), 4)
        if progress is not None:
            progress(1, 1)
        info = {"method": "zero-filled", "true_acceleration": acceleration, "seconds": time.perf_counter() - start}
        return Reconstruction(image, info=info)
