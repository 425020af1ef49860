"""What the quality benchmark compares: classical methods and BART at their best weights, trained models as they are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.peers import bart
from kascade.benchmarks.speed_task import NotInstalledError, run_quietly
from kascade.data import Scan
from kascade.errors import ConfigError, KascadeError
from kascade.recon import get_method
from kascade.recon.models import find_model, load_named, shipped_models
from kascade.recon.setup import Setup, calibration_size

__all__ = ["Attempt", "Contender", "bart_missing", "classical", "trained"]

SENSE_LAMBDAS = (5.0, 2.5, 10.0, 20.0)
WEIGHT_FACTORS = (1.0, 0.5, 2.0)  # of the weight that the method chooses itself
BART_WEIGHTS = (0.002, 0.004, 0.008, 0.016)
BART_CROPS = ((), ("-c0.001",))  # its own, 0.8, and none: the first loses the rim of some heads
BART_ITERATIONS = 100


@dataclass(frozen=True)
class Attempt:
    """One image: magnitude (rows, columns), how it was made, and how long that took."""

    image: NDArray[np.floating[Any]]
    setting: str
    seconds: float


Contender = Callable[[Scan, int, bool], Iterator[Attempt]]
"""Called as contender(scan of one slice, sets, tune); without `tune` it makes one attempt, at its own weight."""


def classical(with_bart: bool = True) -> dict[str, Contender]:
    """Classical methods by name; with `tune` they try several weights, of which the best one counts."""
    found: dict[str, Contender] = {
        "zero-filled": _zero_filled,
        "SENSE": _sense,
        "wavelet": partial(_weighted, "wavelet"),
        "TV": partial(_weighted, "tv"),
    }
    if with_bart and bart_missing() is None:
        found["BART wavelet"] = _bart
    return found


def bart_missing() -> str | None:
    """Why BART cannot be compared with; None where it can."""
    try:
        bart.version()
    except NotInstalledError as error:
        return str(error)
    return None


def trained(names: Sequence[str]) -> dict[str, Contender]:
    """Trained models by name; those that came with Kascade where none is named.

    Raises
    ------
    ConfigError
        If there is no such model, or two have one name.
    FileFormatError
        If a file cannot be read.
    """
    paths = [find_model(name) for name in names] or list(shipped_models().values())
    found: dict[str, Contender] = {}
    for path in paths:
        name = load_named(path, {}).name
        if name in found:
            raise ConfigError(f"two models are called {name!r}; rename the file of one, {path}")
        found[name] = partial(_model, str(path))
    return found


def _attempt(name: str, scan: Scan, sets: int, **options: Any) -> tuple[Attempt, dict[str, Any]]:
    result = get_method(name, sets=sets, **options)(scan, 0)
    info = dict(result.info)
    return Attempt(result.image.abs().cpu().numpy(), "", info["seconds"]), info


def _zero_filled(scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    yield _attempt("zero-filled", scan, 1)[0]


def _sense(scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    for lam in SENSE_LAMBDAS if tune else SENSE_LAMBDAS[:1]:
        made, _ = _attempt("sense", scan, sets, lam=lam)
        yield Attempt(made.image, f"λ {lam:g}", made.seconds)


def _weighted(name: str, scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    made, info = _attempt(name, scan, sets)
    yield Attempt(made.image, f"λ {info['lam']:.2g} (automatic)", made.seconds)
    for factor in WEIGHT_FACTORS[1:] if tune else ():
        made, _ = _attempt(name, scan, sets, lam=factor * info["lam"])
        yield Attempt(made.image, f"λ {factor * info['lam']:.2g}", made.seconds)


def _model(path: str, scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    yield _attempt("unrolled", scan, sets, model=path)[0]


def _bart(scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    """`bart ecalib` and `bart pics -l1` on the whitened coils; it chooses no weight itself, so needs a reference."""
    if not tune:
        return
    problem = Setup(sets=sets).problem(scan, 0)
    intensity = problem.intensity.numpy() if problem.info["whitening"] != "none" else 1.0
    size = min(calibration_size(problem.y.shape[-2:], problem.E.mask))
    shape = (sets, *problem.y.shape[-2:])
    with tempfile.TemporaryDirectory(prefix="kascade-bart-") as name:
        folder = Path(name)
        kspace, maps, output = bart.write_cfl(folder / "y", problem.y.numpy()), str(folder / "maps"), folder / "image"
        for crop in BART_CROPS:
            start = time.perf_counter()
            _run("ecalib", f"-r{size}", f"-m{sets}", *crop, kspace, maps)
            calibration = time.perf_counter() - start
            for weight in BART_WEIGHTS:
                start = time.perf_counter()
                _run("pics", "-l1", f"-r{weight}", f"-i{BART_ITERATIONS}", kspace, maps, str(output))
                image = np.linalg.norm(bart.read_cfl(output, shape) * intensity, axis=0)
                seconds = calibration + time.perf_counter() - start
                setting = f"r {weight:g}{', not cropped' if crop else ''}"
                yield Attempt(image, setting, seconds)


def _run(*arguments: str) -> None:
    try:
        run_quietly(["bart", *arguments])
    except RuntimeError as error:
        raise KascadeError(" ".join(str(error).split())) from error
