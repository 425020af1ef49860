"""Compressed sensing with an l1 penalty on wavelet coefficients."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics import LinearOperator, ShotEncoding
from kascade.physics.proximal import ProximalResult, Watch, fista
from kascade.physics.solvers import largest_eigenvalue
from kascade.recon.automatic import automatic_weight, image_scale
from kascade.recon.method import Progress, Reconstruction
from kascade.recon.setup import Setup

__all__ = ["Wavelet", "WaveletShrinkage", "l1_wavelet"]

# Over the real data of the project the best weight is 0.2 times the noise level, from 32 coils to 8
# (docs/classical.md).
PER_NOISE, LEAST, WITHOUT_NOISE = 0.2, 0.002, 0.003


class WaveletShrinkage:
    """Soft-thresholding of orthonormal wavelet coefficients on a randomly shifted grid.

    A new shift at each call makes the penalty nearly translation invariant, which removes the block pattern of a fixed
    grid (Figueiredo and Nowak, IEEE TIP 12 (2003); BART does the same). The approximation band is left alone.

    Parameters
    ----------
    weight : float
        Threshold.
    wavelet : str
        PyWavelets name of an orthogonal wavelet.
    levels : int
        Largest number of decomposition levels; small images have fewer. Images are zero-padded to a multiple of
        2**levels.
    seed : int
        Seed of the shifts.
    """

    def __init__(self, weight: float, wavelet: str = "db2", levels: int = 4, seed: int = 0) -> None:
        import pywt

        if wavelet not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(wavelet).orthogonal:
            raise ConfigError(
                f"{wavelet!r} is no orthogonal wavelet; choose one of PyWavelets', such as haar, db2, db4, sym4"
            )
        self.weight, self.wavelet, self.levels = weight, wavelet, levels
        self.shifts = np.random.default_rng(seed)

    def __call__(self, x: Tensor) -> Tensor:
        """Shrink the coefficients of complex images (..., rows, columns)."""
        import pywt

        levels = min(self.levels, pywt.dwt_max_level(min(x.shape[-2:]), pywt.Wavelet(self.wavelet).dec_len))
        if levels == 0:
            return x  # too small an image to have details
        period = 2**levels
        shift = tuple(int(s) for s in self.shifts.integers(0, period, 2))
        rolled = torch.roll(x, shift, dims=(-2, -1)).cpu().numpy()
        padding = [(0, 0)] * (x.ndim - 2) + [(0, -n % period) for n in x.shape[-2:]]
        coarse, *details = pywt.wavedec2(np.pad(rolled, padding), self.wavelet, mode="periodization", level=levels)
        shrunk = [tuple(self._shrink(band) for band in level) for level in details]
        image = pywt.waverec2([coarse, *shrunk], self.wavelet, mode="periodization")[..., : x.shape[-2], : x.shape[-1]]
        back = torch.roll(torch.from_numpy(image), [-s for s in shift], dims=(-2, -1))
        return back.to(device=x.device, dtype=x.dtype)

    def _shrink(self, band: Any) -> Any:
        magnitude = np.maximum(np.abs(band), np.float32(1e-30))
        return band * np.maximum(1 - np.float32(self.weight) / magnitude, 0)


def l1_wavelet(
    E: LinearOperator,
    y: Tensor,
    lam: float | None = None,
    *,
    wavelet: str = "db2",
    levels: int = 4,
    max_iter: int = 60,
    tol: float = 1e-3,
    seed: int = 0,
    watch: Watch | None = None,
) -> tuple[ProximalResult, float]:
    """Minimize 1/2 ||E x - y||^2 + lam s ||W x||_1 with FISTA and random shifts.

    Parameters
    ----------
    E : LinearOperator
        Encoding operator of norm at most 1 (maps of unit norm), or one with motion, whose norm is found first.
    y : Tensor
        k-space (coil, rows, columns).
    lam : float, optional
        Weight relative to s, the 99th percentile of |E^H y|; by default from the noise level of the data.
    wavelet, levels, seed
        As in `WaveletShrinkage`.
    max_iter, tol, watch
        As in `fista`.

    Returns
    -------
    ProximalResult
        Image in the units of `y`.
    float
        The weight used.

    References
    ----------
    Lustig et al., Sparse MRI, MRM 58 (2007); Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009).
    """
    if lam is not None and lam < 0:
        raise ConfigError(f"lam must be 0 or more for l1-wavelet, got {lam}")
    b = E.H(y)
    scale = image_scale(b)
    if scale == 0:
        return ProximalResult(b, [], True), 0.0 if lam is None else lam
    weight = automatic_weight(y, scale, PER_NOISE, LEAST, WITHOUT_NOISE) if lam is None else lam
    step = 1 / largest_eigenvalue(E.gram, b) if isinstance(E, ShotEncoding) else 1.0
    shrink = WaveletShrinkage(step * weight * scale, wavelet, levels, seed)
    return fista(E.gram, b, shrink, step=step, max_iter=max_iter, tol=tol, watch=watch), weight


@dataclass(frozen=True)
class Wavelet:
    """Compressed sensing: SENSE with an l1 penalty on wavelet coefficients (FISTA, random shifts).

    Parameters
    ----------
    setup : Setup
        Maps, whitening, device.
    lam : float, optional
        Weight of the penalty, relative to the 99th percentile of the adjoint image; chosen from the noise by default.
    wavelet : str
        PyWavelets name.
    max_iter : int
        Largest number of iterations.
    tol : float
        Relative change at which to stop.
    seed : int
        Seed of the random shifts.
    """

    setup: Setup = field(default_factory=Setup)
    lam: float | None = None
    wavelet: str = "db2"
    max_iter: int = 60
    tol: float = 1e-3
    seed: int = 0

    def __call__(self, scan: Scan, index: int, progress: Progress | None = None) -> Reconstruction:
        """Reconstruct slice `index` of `scan`."""
        start = time.perf_counter()
        problem = self.setup.problem(scan, index)
        watch = None if progress is None else lambda iteration, change: progress(iteration, self.max_iter)
        options: dict[str, Any] = {key: getattr(self, key) for key in ("wavelet", "max_iter", "tol", "seed")}
        result, weight = l1_wavelet(problem.E, problem.y, self.lam, watch=watch, **options)
        info = {
            "method": "wavelet",
            "lam": weight,
            "lam_chosen": "automatic" if self.lam is None else "given",
            **options,
            **problem.info,
            "iterations": len(result.changes),
            "converged": result.converged,
            "seconds": time.perf_counter() - start,
        }
        trace = [{"iteration": i, "relative_change": c} for i, c in enumerate(result.changes, start=1)]
        return Reconstruction(problem.final(result.x), trace, info)
