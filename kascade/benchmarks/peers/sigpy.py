"""SigPy (Ong and Lustig): NumPy arrays, linear operators and apps."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.speed_task import (
    ACS,
    ITERATIONS,
    TOLERANCE,
    WAVELET_WEIGHT,
    Inputs,
    NotInstalledError,
    Task,
    Timing,
    penalty,
)

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")  # there by CuPy


def version() -> str:
    """Version of SigPy."""
    try:
        return installed_version("sigpy")
    except PackageNotFoundError:
        raise NotInstalledError("not installed: pip install sigpy") from None


def _on(device: str) -> Any:
    """SigPy's device."""
    import sigpy

    if device == "cuda" and find_spec("cupy") is None:
        raise NotInstalledError("not installed for a GPU: pip install 'kascade[gpu]'")
    return sigpy.Device(0 if device == "cuda" else -1)


def _task(call: Callable[[], Any], device: str, slices: int = 1) -> Task:
    """Task that waits for the device; the time is that of one slice, the image that of the first."""
    on = _on(device)

    def task() -> Timing:
        import sigpy

        start = time.perf_counter()
        result = call()
        if on.id >= 0:
            on.use()
            on.xp.cuda.get_current_stream().synchronize()
        seconds = (time.perf_counter() - start) / slices
        return Timing(seconds, None if result is None else sigpy.to_device(result, sigpy.cpu_device))

    return task


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """`Sense(...).N` applied to an image, or to one after the other."""
    import sigpy
    import sigpy.mri

    on, slices = _on(device), inputs.slices if case == "gram-batch" else 1
    maps = inputs.batch(inputs.maps) if slices > 1 else inputs.maps[None]
    images = inputs.batch(inputs.image) if slices > 1 else inputs.image[None]
    mask = sigpy.to_device(np.broadcast_to(inputs.mask(case), inputs.image.shape), on)
    pairs = [
        (sigpy.mri.linop.Sense(sigpy.to_device(s, on), weights=mask).N, sigpy.to_device(x, on))
        for s, x in zip(maps, images, strict=True)
    ]
    return _task(lambda: next(iter([normal(x) for normal, x in pairs])), device, slices)


def sense(inputs: Inputs, case: str, device: str) -> Task:
    """`SenseRecon`, constructed and run; SigPy's tolerance is absolute."""
    import sigpy
    import sigpy.mri
    from sigpy.mri.app import SenseRecon

    on = _on(device)
    y, maps = (sigpy.to_device(a, on) for a in (inputs.kspace, inputs.maps))
    settings: dict[str, Any] = {"max_iter": ITERATIONS[case], "show_pbar": False, "device": on}
    if case in TOLERANCE:
        mask = np.broadcast_to(inputs.mask(case), inputs.image.shape)
        start: NDArray[np.complex64] = sigpy.mri.linop.Sense(inputs.maps, weights=mask).H(inputs.kspace)
        settings["tol"] = TOLERANCE[case] * float(np.linalg.norm(start))
    return _task(lambda: SenseRecon(y, maps, lamda=penalty(), **settings).run(), device)


def espirit(inputs: Inputs, case: str, device: str) -> Task:
    """`EspiritCalib`, constructed and run."""
    import sigpy
    from sigpy.mri.app import EspiritCalib

    on = _on(device)
    y = sigpy.to_device(inputs.kspace, on)

    def call() -> None:
        EspiritCalib(y, calib_width=ACS, device=on, show_pbar=False).run()

    return _task(call, device)


def wavelet(inputs: Inputs, case: str, device: str) -> Task:
    """`L1WaveletRecon`, constructed and run, with its own step size (30 power iterations)."""
    import sigpy
    import sigpy.mri
    from sigpy.mri.app import L1WaveletRecon

    on = _on(device)
    adjoint: NDArray[np.complex64] = sigpy.mri.linop.Sense(inputs.maps).H(inputs.kspace)
    lamda = WAVELET_WEIGHT * float(np.percentile(np.abs(adjoint), 99))
    y, maps = (sigpy.to_device(a, on) for a in (inputs.kspace, inputs.maps))

    def call() -> None:
        L1WaveletRecon(y, maps, lamda, max_iter=ITERATIONS[case], device=on, show_pbar=False).run()

    return _task(call, device)


CASES = {
    "gram-columns": gram,
    "gram-2d": gram,
    "gram-batch": gram,
    "sense": sense,
    "sense-1e-4": sense,
    "espirit": espirit,
    "wavelet": wavelet,
}
