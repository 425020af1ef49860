"""A lambda benchmark that takes seconds: phantom heads of 48 x 40, cascades of 2 iterations with 2 channels."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from kascade.benchmarks import lambda_schedules_noise, lambda_schedules_probes, lambda_schedules_results
from kascade.benchmarks.lambda_schedules import choose_schedules
from kascade.benchmarks.lambda_schedules_noise import Gain, SenseExample
from kascade.benchmarks.lambda_schedules_results import LambdaResults, TrainedSchedule
from kascade.benchmarks.lambda_schedules_scores import Score
from kascade.benchmarks.lambda_sweep import SweepPoint
from kascade.data.simulation import phantom
from kascade.train.examples import objects
from kascade.train.recipe import Recipe, parse_recipe

drawn_once = functools.lru_cache(phantom.head_phantom)

RECIPE = """\
name: tiny-lambda
data:
  sources:
    - {kind: nifti, folder: t1w, test: [sub-9], licence: CC0}
    - {kind: phantom}
  acceleration: [4, 6]
  acs: [12, 12]
  coils: [3, 4]
  pixels: 1024
  validation_examples: 2
model:
  prior: {name: resunet, options: {channels: 2, levels: 1}}
  iterations: 2
training: {steps: 3, validate_every: 2, warm_up: 1, ema: 0.5}
"""


def tiny_recipe() -> Recipe:
    """RECIPE, with a folder of volumes that is not there."""
    return parse_recipe(RECIPE)


def make_tiny(monkeypatch: pytest.MonkeyPatch, phantoms: int = 2) -> None:
    """Have the benchmark test on few and small scans."""
    for module in (phantom, objects):
        monkeypatch.setattr(module, "head_phantom", drawn_once)
    monkeypatch.setattr(lambda_schedules_probes, "PHANTOM_SHAPE", (1, 48, 40))
    monkeypatch.setattr(lambda_schedules_probes, "PHANTOMS", lambda_schedules_probes.PHANTOMS[:phantoms])
    monkeypatch.setattr(lambda_schedules_probes, "ACS", 12)
    monkeypatch.setattr(lambda_schedules_noise, "REPLICAS", 4)
    monkeypatch.setattr(lambda_schedules_results, "REPLICAS", 4)


def write_recipe(folder: Path) -> Path:
    """RECIPE as a file."""
    path = folder / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def made_up(
    seeds: int = 2, measured: bool = False, schedules: tuple[str, ...] = ("tied", "1", "2.5", "6")
) -> LambdaResults:
    """Results of no training: learned is better by 0.5 dB than tied and by as many dB as lambda than a constant."""
    rng = np.random.default_rng(0)
    chosen = choose_schedules(schedules)
    trainings = []
    for seed in range(1, seeds + 1):
        for schedule in chosen:
            less = float(schedule.lam) if schedule.constant else 0.5 * (schedule.name != "learned")
            scores = []
            for scan, slices in (("a", 1), ("b", 2), ("full", int(measured))):
                for index in range(slices):
                    for accel in (4, 6):
                        psnr = 30 - accel + index - less + 0.01 * float(rng.standard_normal())
                        steps = (psnr - 2, psnr - 1), (psnr - 1.5, psnr)
                        lam = (5.0 + 0.1 * seed, 1.0)
                        place = (scan, index, accel, scan == "full")
                        scores.append(Score(schedule.name, seed, *place, psnr, 0.9 - less / 100, *steps, lam))
            gains = tuple(
                Gain(schedule.name, seed, accel, n, 5.0 / n, 2.0, 3.0, 1.0 * n, 2.0) for accel in (4, 6) for n in (1, 2)
            )
            validation = 31.0 - less
            trainings.append(TrainedSchedule(schedule.name, seed, validation, 3, 1.5, 0.25, 1000, tuple(scores), gains))
    sweep = [SweepPoint(r, r / 2, lam, 20 - r + lam, 0.5, 3, 2) for r in (4.0, 6.0) for lam in (1.0, 2.0)]
    image = np.ones((20, 16))
    gain = np.full((20, 16), np.nan)
    gain[5:15, 4:12] = 0.9
    examples = tuple(SenseExample(lam, 20 + lam, image * 0.9, gain * lam) for lam in (1.0, 5.0))
    return LambdaResults(
        tiny_recipe(), tuple(chosen), tuple(trainings), {"simulated": sweep}, examples, image, "1 core"
    )
