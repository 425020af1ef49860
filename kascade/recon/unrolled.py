"""Unrolled regularized SENSE with trained networks as a method."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kascade.data.mask_analysis import true_acceleration
from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics import Encoding, ShotEncoding
from kascade.recon.method import Progress, Reconstruction
from kascade.recon.models import candidate_models, load_named, misfit
from kascade.recon.setup import Problem, Setup
from kascade.unroll import Trace, cascade
from kascade.unroll.guard import guard

__all__ = ["Unrolled"]

FAR = 4  # factor on the last lambda beyond which the user is told


@dataclass(frozen=True)
class Unrolled:
    """Unrolled regularized SENSE: data consistency and a trained network in turn.

    Parameters
    ----------
    setup : Setup
        Maps, whitening, device.
    model : str, optional
        File or name of a trained model (`kascade.recon.models.find_model`); by default the one that comes with Kascade
        and fits the data.
    guard : bool
        Raise the last lambda as long as generalized cross-validation says that the data are predicted better
        (`kascade.unroll.guard`); warn where it was far too low.
    keep_steps : bool
        Give the images of all iterations, too: `Reconstruction.steps`.

    Notes
    -----
    The trace of the reconstruction holds, for each SENSE step, "lam", "cg_iterations" and "residual", which is
    ||E x - y|| / ||y|| over the acquired samples; of a VarNet, which has no SENSE steps, the residual alone. With
    several map sets, images of steps are the RSS over sets.

    References
    ----------
    Nickel, "Can We See the Bottom?", Siemens Healthineers 2025, Fig. 4.
    """

    setup: Setup = field(default_factory=Setup)
    model: str | None = None
    guard: bool = True
    keep_steps: bool = False

    def __post_init__(self) -> None:
        candidate_models(self.model)  # raises ConfigError before any work is done

    @torch.no_grad()
    def __call__(self, scan: Scan, index: int, progress: Progress | None = None) -> Reconstruction:
        """Reconstruct slice `index` of `scan`."""
        start = time.perf_counter()
        problem = self.setup.problem(scan, index, self._image)
        calibrated = time.perf_counter()
        facts = {"acceleration": problem.info["true_acceleration"], "coils": problem.info["coils"]}
        model = load_named(self.model, facts, self.setup.device)
        if model.task != "reconstruction":
            raise ConfigError(f"model {model.name} is for {model.task} of images, not for k-space; use kascade restore")
        reason = misfit(model, facts)
        if reason is not None:
            warnings.warn(reason, stacklevel=2)
        loaded = time.perf_counter()
        out = model.network(problem.E, problem.y, trace=True)
        trace = out.trace or Trace()
        verdict = guard(problem.E, problem.y, out.image, trace) if self.guard else None
        image = problem.final(out.image if verdict is None else verdict.image)
        if progress is not None:
            progress(1, 1)
        if verdict is not None and verdict.lam and verdict.model_lam and verdict.lam > FAR * verdict.model_lam:
            warnings.warn(
                f"these data are unlike what model {model.name} was trained on: cross-validation raised its "
                f"last lambda from {verdict.model_lam:.2g} to {verdict.lam:.2g}; compare with --method wavelet",
                stacklevel=2,
            )
        records = _records(trace)
        lam, iterations = ([r[key] for r in records if key in r] for key in ("lam", "cg_iterations"))
        converged = all(count < cascade.MAX_ITERATIONS for count in iterations)
        if not converged:
            limit = cascade.MAX_ITERATIONS
            warnings.warn(f"SENSE steps of model {model.name} stopped after {limit} CG iterations", stacklevel=2)
        info = {
            "method": "unrolled",
            "model": {"name": model.name, "sha256": model.sha256, "file": str(model.path)},
            "cascade": model.config["kind"],
            **problem.info,
            "lam": lam,
            "cg_iterations": iterations,
            "iterations": sum(iterations),
            "converged": converged,
            "residual": records[-1]["residual"] if records else None,
            "guard": None if verdict is None else {"model_lam": verdict.model_lam, "lam": verdict.lam},
            "seconds_setup": calibrated - start,
            "seconds_load": loaded - calibrated,
            "seconds": time.perf_counter() - start,
        }
        return Reconstruction(image, records, info, _steps(trace, problem) if self.keep_steps else None)

    def _image(self, E: Encoding | ShotEncoding, y: Tensor) -> Tensor:
        """Image alone, for the estimation of motion."""
        facts = {"acceleration": 1.0 if E.mask is None else true_acceleration(E.mask), "coils": y.shape[0]}
        image: Tensor = load_named(self.model, facts, self.setup.device).network(E, y).image
        return image


def _records(trace: Trace) -> list[dict[str, float]]:
    """One for each data-consistency step; that of a VarNet has no lambda and no CG."""
    records: list[dict[str, float]] = []
    for n, residual in enumerate(trace.consistency):
        record: dict[str, float] = {"iteration": n + 1, "residual": float(residual)}
        if trace.lam:
            record |= {"lam": float(trace.lam[n]), "cg_iterations": int(trace.cg_iterations[n])}
        records.append(record)
    return records


def _steps(trace: Trace, problem: Problem) -> dict[str, Tensor]:
    return {name: _stack(images, problem) for name, images in (("x", trace.x), ("z", trace.z)) if images}


def _stack(images: Sequence[Tensor], problem: Problem) -> Tensor:
    return torch.stack([problem.final(image) for image in images])
