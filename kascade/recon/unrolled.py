"""Unrolled regularized SENSE with trained networks as a method."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kascade.data.scan import Scan
from kascade.recon.method import Progress, Reconstruction
from kascade.recon.models import candidate_models, load_named, misfit
from kascade.recon.setup import Problem, Setup
from kascade.unroll import Trace

__all__ = ["Unrolled"]


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
    keep_steps : bool
        Give the images of all iterations, too: `Reconstruction.steps`.

    Notes
    -----
    The trace of the reconstruction holds, for each SENSE step, "lam", "cg_iterations" and "residual", which is
    ||E x - y|| / ||y|| over the acquired samples. With several map sets, images of steps are the RSS over sets.

    References
    ----------
    Nickel, "Can We See the Bottom?", Siemens Healthineers 2025, Fig. 4.
    """

    setup: Setup = field(default_factory=Setup)
    model: str | None = None
    keep_steps: bool = False

    def __post_init__(self) -> None:
        candidate_models(self.model)  # raises ConfigError before any work is done

    @torch.no_grad()
    def __call__(self, scan: Scan, index: int, progress: Progress | None = None) -> Reconstruction:
        """Reconstruct slice `index` of `scan`."""
        start = time.perf_counter()
        problem = self.setup.problem(scan, index)
        calibrated = time.perf_counter()
        facts = {"acceleration": problem.info["true_acceleration"], "coils": scan.coils}
        model = load_named(self.model, facts, self.setup.device)
        reason = misfit(model, facts)
        if reason is not None:
            warnings.warn(reason, stacklevel=2)
        loaded = time.perf_counter()
        out = model.network(problem.E, problem.y, trace=True)
        image = problem.final(out.image)
        if progress is not None:
            progress(1, 1)
        trace = out.trace or Trace()
        records = _records(trace)
        info = {
            "method": "unrolled",
            "model": {"name": model.name, "sha256": model.sha256, "file": str(model.path)},
            **problem.info,
            "lam": [record["lam"] for record in records],
            "cg_iterations": [record["cg_iterations"] for record in records],
            "iterations": sum(record["cg_iterations"] for record in records),
            "residual": records[-1]["residual"] if records else None,
            "seconds_setup": calibrated - start,
            "seconds_load": loaded - calibrated,
            "seconds": time.perf_counter() - start,
        }
        return Reconstruction(image, records, info, _steps(trace, problem) if self.keep_steps else None)


def _records(trace: Trace) -> list[dict[str, float]]:
    """One for each SENSE step; none where the cascade has no such steps."""
    steps = zip(trace.lam, trace.cg_iterations, trace.consistency, strict=True)
    return [
        {"iteration": number, "lam": float(lam), "cg_iterations": int(count), "residual": float(residual)}
        for number, (lam, count, residual) in enumerate(steps, start=1)
    ]


def _steps(trace: Trace, problem: Problem) -> dict[str, Tensor]:
    return {name: _stack(images, problem) for name, images in (("x", trace.x), ("z", trace.z)) if images}


def _stack(images: Sequence[Tensor], problem: Problem) -> Tensor:
    return torch.stack([problem.final(image) for image in images])
