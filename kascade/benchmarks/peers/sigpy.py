"""SigPy (Ong and Lustig): NumPy arrays, linear operators and apps."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.speed_task import (
    ACS,
    ITERATIONS,
    WAVELET_WEIGHT,
    Inputs,
    NotInstalledError,
    Task,
    penalty,
    timed,
)

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu",)


def version() -> str:
    """Version of SigPy."""
    try:
        return installed_version("sigpy")
    except PackageNotFoundError:
        raise NotInstalledError("not installed: pip install sigpy") from None


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """`Sense(...).N` applied to an image."""
    import sigpy.mri

    mask = np.broadcast_to(inputs.mask(case), inputs.image.shape)
    normal, x = sigpy.mri.linop.Sense(inputs.maps, weights=mask).N, inputs.image
    return timed(lambda: normal(x))


def sense(inputs: Inputs, case: str, device: str) -> Task:
    """`SenseRecon`, constructed and run."""
    from sigpy.mri.app import SenseRecon

    y, maps, settings = inputs.kspace, inputs.maps, {"max_iter": ITERATIONS[case], "show_pbar": False}
    return timed(lambda: SenseRecon(y, maps, lamda=penalty(), **settings).run())


def espirit(inputs: Inputs, case: str, device: str) -> Task:
    """`EspiritCalib`, constructed and run."""
    from sigpy.mri.app import EspiritCalib

    y = inputs.kspace

    def call() -> None:
        EspiritCalib(y, calib_width=ACS, show_pbar=False).run()

    return timed(call)


def wavelet(inputs: Inputs, case: str, device: str) -> Task:
    """`L1WaveletRecon`, constructed and run, with its own step size (30 power iterations)."""
    import sigpy.mri
    from sigpy.mri.app import L1WaveletRecon

    y, maps = inputs.kspace, inputs.maps
    adjoint: NDArray[np.complex64] = sigpy.mri.linop.Sense(maps).H(y)
    lamda = WAVELET_WEIGHT * float(np.percentile(np.abs(adjoint), 99))

    def call() -> None:
        L1WaveletRecon(y, maps, lamda, max_iter=ITERATIONS[case], show_pbar=False).run()

    return timed(call)


CASES = {"gram-columns": gram, "gram-2d": gram, "sense": sense, "espirit": espirit, "wavelet": wavelet}
