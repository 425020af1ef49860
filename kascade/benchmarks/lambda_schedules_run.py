"""A run of the lambda benchmark: trainings that can be stopped and continued, measurements, and the files of both."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kascade.benchmarks.lambda_schedules import (
    Schedule,
    base_recipe,
    check_training,
    choose_schedules,
    default_recipe,
    schedule_recipe,
    train_schedule,
)
from kascade.benchmarks.lambda_schedules_figures import cascade_figure, lambda_figure, meaning_figure
from kascade.benchmarks.lambda_schedules_noise import NoiseProbe, make_noise_probe, sense_examples
from kascade.benchmarks.lambda_schedules_probes import ACCELERATIONS, Probe, make_probes, measured_scan
from kascade.benchmarks.lambda_schedules_report import csv_files, lambda_markdown
from kascade.benchmarks.lambda_schedules_results import LambdaResults, TrainedSchedule, measure_training
from kascade.benchmarks.lambda_schedules_sweep import sweep_probes
from kascade.benchmarks.lambda_sweep import sweep_csv, sweep_figure
from kascade.data.atomic import refuse_existing
from kascade.errors import ConfigError
from kascade.recon.outputs import all_or_none, make_folder
from kascade.report.figures import save_figure
from kascade.train.environment import machine
from kascade.train.examples import TrainingData
from kascade.train.recipe import Recipe
from kascade.train.run import silent

__all__ = ["LambdaPlan", "plan_lambda", "run_lambda"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class LambdaPlan:
    """What is trained and measured.

    Attributes
    ----------
    recipe : Recipe
        What the trainings have in common.
    schedules : tuple of Schedule
        What is compared.
    seeds : tuple of int
        Trainings of each schedule.
    data : Path or None
        Folder of the data.
    notes : tuple of str
        What is left out, and why.
    """

    recipe: Recipe
    schedules: tuple[Schedule, ...]
    seeds: tuple[int, ...]
    data: Path | None
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """How often a run tells of its progress."""
        return 2 + 2 * len(self.seeds) * len(self.schedules) + len(self.sweeps) + 1

    @property
    def sweeps(self) -> list[str]:
        """Names of the scans on which plain SENSE is swept."""
        return ["simulated", "measured"] if measured_scan(self.data) is not None else ["simulated"]

    def run_folder(self, folder: Path, schedule: Schedule, seed: int) -> Path:
        """Where a training lies."""
        return folder / "runs" / f"{schedule.name}-{seed}"

    def outputs(self, folder: Path) -> list[Path]:
        """Files of a run beside the trainings."""
        names = ["lambda.md", "scores.csv", "differences.csv", "iterations.csv", "noise.csv"]
        names += ["cascade.png", "lambdas.png", "meaning.png"]
        names += [f"sweep-{name}{suffix}" for name in self.sweeps for suffix in (".csv", ".png")]
        return [folder / name for name in names]


def plan_lambda(
    data: Path | None = None,
    schedules: Sequence[str] = (),
    seeds: int = 3,
    steps: int | None = None,
    recipe: Path | None = None,
) -> LambdaPlan:
    """Find data and recipe.

    Parameters
    ----------
    data : Path, optional
        Folder of training images and of `kspace/full.cfl`; without it, there are phantom heads only.
    schedules : sequence of str
        As `choose_schedules`.
    seeds : int
        How many trainings of each schedule.
    steps : int, optional
        Of each training, instead of the recipe's.
    recipe : Path, optional
        Instead of `recipes/lambda-benchmark.yaml`.

    Raises
    ------
    ConfigError
        If a folder is not there, or recipe and schedules do not fit each other.
    FileFormatError
        If the recipe cannot be read.
    """
    if data is not None and not data.is_dir():
        raise ConfigError(f"{data}: not a folder; expected one with training images, or kspace/full.cfl")
    if seeds < 1:
        raise ConfigError(f"seeds {seeds}: expected at least 1")
    chosen = choose_schedules(schedules)
    base, notes = base_recipe(default_recipe() if recipe is None else recipe, data, steps)
    for schedule in chosen:
        schedule_recipe(base, schedule, 1)
    if data is None:
        notes.append("no data: --data or $KASCADE_DATA would name their folder")
    return LambdaPlan(base, tuple(chosen), tuple(range(1, seeds + 1)), data, tuple(notes))


def run_lambda(
    plan: LambdaPlan, folder: Path, force: bool = False, progress: Tell | None = None, told: Tell | None = None
) -> LambdaResults:
    """Train, measure, and write tables and figures.

    Trainings lie in ``runs/SCHEDULE-SEED``: those that have ended are taken as they are, one that was stopped goes on.
    Everything else is written when all is done.

    Parameters
    ----------
    plan : LambdaPlan
        What to do.
    folder : Path
        Is made where it is missing.
    force : bool
        Replace existing tables and figures, and trainings by another recipe.
    progress : callable, optional
        Called with a description `plan.steps` times.
    told : callable, optional
        Gets a line after each validation and each training.

    Raises
    ------
    OutputError
        If a file exists (and not `force`) or cannot be written.
    ConfigError
        If a training in the folder had another recipe (and not `force`).
    KascadeError
        If a training fails.
    """
    tell = progress or silent
    make_folder(folder)
    for path in plan.outputs(folder):
        refuse_existing(path, force)
    for schedule in plan.schedules:
        for seed in plan.seeds:
            recipe = schedule_recipe(plan.recipe, schedule, seed)
            check_training(recipe, plan.run_folder(folder, schedule, seed), force)
    tell("simulating test scans")
    probes = make_probes(plan.recipe, plan.data)
    noise = [make_noise_probe(accel) for accel in ACCELERATIONS]
    trainings = _trainings(plan, folder, force, probes, noise, tell, told or silent)
    sweeps = {}
    for name in plan.sweeps:
        tell(f"sweep of plain SENSE, {name} scans")
        sweeps[name] = sweep_probes([probe for probe in probes if probe.measured == (name == "measured")])
    tell("what lambda does")
    results = LambdaResults(
        plan.recipe,
        plan.schedules,
        tuple(trainings),
        sweeps,
        tuple(sense_examples(noise[0])),
        noise[0].probe.truth[0],
        machine(),
    )
    _write(results, plan, folder, force)
    return results


def _trainings(
    plan: LambdaPlan,
    folder: Path,
    force: bool,
    probes: Sequence[Probe],
    noise: Sequence[NoiseProbe],
    tell: Tell,
    told: Tell,
) -> list[TrainedSchedule]:
    tell("reading training images")
    images = TrainingData(plan.recipe.data, plan.data or Path(), plan.seeds[0])
    done: list[TrainedSchedule] = []
    for seed in plan.seeds:
        data = copy.copy(images)  # the same volumes, other random numbers
        data.seed = seed
        for schedule in plan.schedules:
            name = f"{schedule.name}, seed {seed}"
            tell(f"training {name} ({len(done) + 1} of {len(plan.seeds) * len(plan.schedules)})")
            trained = train_schedule(
                schedule_recipe(plan.recipe, schedule, seed),
                data,
                plan.run_folder(folder, schedule, seed),
                force,
                lambda line, name=name: told(f"{name}: {line}"),  # type: ignore[misc]
            )
            tell(f"testing {name}")
            done.append(measure_training(trained, schedule, seed, probes, noise))
    return done


def _write(results: LambdaResults, plan: LambdaPlan, folder: Path, force: bool) -> None:
    texts = {"lambda.md": lambda_markdown(results), **csv_files(results)}
    texts |= {f"sweep-{name}.csv": sweep_csv(points) for name, points in results.sweeps.items()}
    figures = {
        "cascade.png": cascade_figure(results),
        "lambdas.png": lambda_figure(results),
        "meaning.png": meaning_figure(results.examples, results.example_truth),
        **{
            f"sweep-{name}.png": sweep_figure(points, f"Regularized SENSE without a prior, {name} scans")
            for name, points in results.sweeps.items()
        },
    }
    with all_or_none(plan.outputs(folder), force) as beside:
        for path in beside:
            if path.name in texts:
                path.write_text(texts[path.name], encoding="utf-8")
            else:
                save_figure(figures[path.name], path)
