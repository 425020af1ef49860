"""What a training came to: its time, its scores on every probe, its noise; kept beside the weights, measured once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from kascade.benchmarks.lambda_schedules import Schedule
from kascade.benchmarks.lambda_schedules_noise import REPLICAS, Gain, NoiseProbe, SenseExample, cascade_gains
from kascade.benchmarks.lambda_schedules_probes import Image, Probe
from kascade.benchmarks.lambda_schedules_scores import Score, score_probe
from kascade.benchmarks.lambda_sweep import SweepPoint
from kascade.data.atomic import atomic_output
from kascade.train.folder import RunFolder
from kascade.train.recipe import Recipe
from kascade.train.run import Trained
from kascade.unroll.weights import load_model

__all__ = ["LambdaResults", "TrainedSchedule", "measure_training"]

VERSION = 1  # of how things are measured; raise it when that changes
FILE = "lambda-benchmark.json"


@dataclass(frozen=True)
class TrainedSchedule:
    """One training.

    Attributes
    ----------
    schedule, seed : str, int
        Which.
    validation_psnr, best_step : float, int
        Highest PSNR on the validation examples in dB, and when it was found.
    minutes, seconds_per_step : float
        Time of the whole training, validations included, and of a step without them (median).
    parameters : int
        Of the networks and the schedule.
    scores : tuple of Score
        On every probe.
    gains : tuple of Gain
        Noise on every noise probe.
    """

    schedule: str
    seed: int
    validation_psnr: float
    best_step: int
    minutes: float
    seconds_per_step: float
    parameters: int
    scores: tuple[Score, ...]
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class LambdaResults:
    """All that the lambda benchmark found.

    Attributes
    ----------
    recipe : Recipe
        What the trainings have in common.
    schedules : tuple of Schedule
        The first one is what the others are compared with.
    trainings : tuple of TrainedSchedule
        Of each schedule with each seed.
    sweeps : dict
        Name of the scans to the sweep of plain SENSE over lambda.
    examples : tuple of SenseExample
        Plain SENSE at three lambdas.
    example_truth : array
        What their images should be.
    machine : str
        Where it ran.
    """

    recipe: Recipe
    schedules: tuple[Schedule, ...]
    trainings: tuple[TrainedSchedule, ...]
    sweeps: dict[str, list[SweepPoint]]
    examples: tuple[SenseExample, ...]
    example_truth: Image
    machine: str

    @property
    def scores(self) -> list[Score]:
        """Of all trainings."""
        return [score for training in self.trainings for score in training.scores]

    @property
    def gains(self) -> list[Gain]:
        """Of all trainings."""
        return [gain for training in self.trainings for gain in training.gains]

    @property
    def seeds(self) -> list[int]:
        """Of the trainings."""
        return sorted({training.seed for training in self.trainings})

    @property
    def measured(self) -> bool:
        """Whether there is a measured scan."""
        return any(score.measured for score in self.scores)

    def validation(self, schedule: str) -> float:
        """Mean over seeds of the validation PSNR."""
        return float(np.mean([t.validation_psnr for t in self.trainings if t.schedule == schedule]))

    @property
    def best_constant(self) -> str | None:
        """The constant lambda of the highest PSNR on the validation examples; test scans have no say."""
        constants = [schedule.name for schedule in self.schedules if schedule.constant]
        return max(constants, key=self.validation, default=None)

    @property
    def shown(self) -> list[str]:
        """Schedules for figures: of the constant ones the best alone."""
        return [s.name for s in self.schedules if not s.constant or s.name == self.best_constant]


def measure_training(
    trained: Trained, schedule: Schedule, seed: int, probes: Sequence[Probe], noise: Sequence[NoiseProbe]
) -> TrainedSchedule:
    """Score the best weights of a training, or read what was found when these weights were scored before.

    Parameters
    ----------
    trained : Trained
        What the training gave.
    schedule, seed
        Which it was.
    probes, noise : sequence
        What to test on.
    """
    run = RunFolder(trained.weights.parent)
    key = _key(trained.weights, probes, noise)
    known = _read(run.path / FILE, key)
    if known is not None:
        return known
    model = load_model(trained.weights).model
    card = load_model(run.last).card
    found = TrainedSchedule(
        schedule.name,
        seed,
        trained.psnr,
        trained.step,
        60 * float(card["hours"]),
        _seconds_per_step(run),
        int(card["parameters"]),
        tuple(score_probe(model, schedule.name, seed, probe) for probe in probes),
        tuple(gain for one in noise for gain in cascade_gains(model, schedule.name, seed, one)),
    )
    with atomic_output(run.path / FILE, force=True) as beside:
        beside.write_text(json.dumps({"key": key, "training": asdict(found)}) + "\n", encoding="utf-8")
    return found


def _key(weights: Path, probes: Sequence[Probe], noise: Sequence[NoiseProbe]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "probes": [[probe.name, *probe.reference.shape] for probe in probes],
        "noise": [[one.probe.name, *one.clean.shape, REPLICAS] for one in noise],
    }


def _read(path: Path, key: dict[str, Any]) -> TrainedSchedule | None:
    """None where there is nothing, or of something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        return TypeAdapter(TrainedSchedule).validate_python(content["training"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _seconds_per_step(run: RunFolder) -> float:
    from kascade.train.log import read_metrics

    seconds = [row["seconds_per_step"] for row in read_metrics(run.metrics) if "seconds_per_step" in row]
    return float(np.median(seconds)) if seconds else float("nan")
