"""The lambda schedules that are compared, and their trainings: one recipe, of which schedule and seed alone differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kascade.benchmarks.planning import shipped_recipe
from kascade.errors import ConfigError
from kascade.train.examples import TrainingData
from kascade.train.examples.config import PhantomSource
from kascade.train.folder import RunFolder
from kascade.train.recipe import Recipe, load_recipe, with_training
from kascade.train.run import Trained, train
from kascade.unroll.schedules import make_schedule

__all__ = [
    "REFERENCE",
    "Schedule",
    "base_recipe",
    "check_training",
    "choose_schedules",
    "default_recipe",
    "schedule_recipe",
    "train_schedule",
]

NAMES = ("learned", "tied", "predicted", "table1", "geometric")
CONSTANTS = ("1", "2.5", "6")
REFERENCE = "learned"
"""The schedule that all others are compared with."""


@dataclass(frozen=True)
class Schedule:
    """A lambda schedule.

    Attributes
    ----------
    name : str
        Also of its folders.
    lam : str or float
        As in `kascade.unroll.schedules.make_schedule`.
    """

    name: str
    lam: str | float

    @property
    def constant(self) -> bool:
        """Whether it is one given number."""
        return isinstance(self.lam, float)


def choose_schedules(texts: Sequence[str] = ()) -> list[Schedule]:
    """Schedules that a user asks for, by name or, for a constant lambda, by its value; "learned" comes first, always.

    Parameters
    ----------
    texts : sequence of str
        Such as "table1" or "2.5"; where there is none, all names and three constants.

    Raises
    ------
    ConfigError
        If a text is neither.
    """
    found = [_schedule(text) for text in (REFERENCE, *(texts or (*NAMES, *CONSTANTS)))]
    return list(dict.fromkeys(found))


def _schedule(text: str) -> Schedule:
    if text in NAMES:
        return Schedule(text, text)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"schedule {text!r}: expected {', '.join(NAMES)}, or a positive number, a constant lambda")
    return Schedule(f"constant-{value:g}", value)


def default_recipe() -> Path:
    """Where recipes/lambda-benchmark.yaml lies in a checkout of the source.

    Raises
    ------
    ConfigError
        If Kascade was installed without it.
    """
    return shipped_recipe("lambda-benchmark")


def base_recipe(path: Path, data: Path | None, steps: int | None = None) -> tuple[Recipe, list[str]]:
    """What all trainings have in common.

    Parameters
    ----------
    path : Path
        Recipe; its lambda schedule and its seed do not count.
    data : Path, optional
        Folder of training data. Sources that are not there are left out.
    steps : int, optional
        Steps of the optimizer, instead of the recipe's.

    Returns
    -------
    recipe : Recipe
    notes : list of str
        Which sources are left out.

    Raises
    ------
    ConfigError
        If the recipe is wrong, is not for unrolled SENSE, or no source is there.
    FileFormatError
        If it cannot be read.
    """
    recipe, _ = load_recipe(path)
    if recipe.model.kind != "unrolled-sense" or recipe.model.final_consistency:
        raise ConfigError(f"{path}: expected a model of kind unrolled-sense without final_consistency")
    there, notes = [], []
    for source in recipe.data.sources:
        if isinstance(source, PhantomSource) or (data is not None and (data / source.folder).is_dir()):
            there.append(source)
        else:
            notes.append(f"without the images of {source.folder!r}, which are not in the data folder")
    if not there:
        raise ConfigError(f"{path}: none of its data is there; --data or $KASCADE_DATA names their folder")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": tuple(there)})})
    return recipe if steps is None else with_training(recipe, steps=steps), notes


def schedule_recipe(base: Recipe, schedule: Schedule, seed: int) -> Recipe:
    """Recipe of one training: networks start alike and see the same examples in the same order, whatever the schedule.

    Raises
    ------
    ConfigError
        If the schedule is of another length than the cascade.
    """
    model = base.model
    make_schedule(schedule.lam, model.iterations)
    return base.model_copy(
        update={
            "name": f"lambda-{schedule.name}-{seed}",
            "model": model.model_copy(update={"lam": schedule.lam}),
            "training": base.training.model_copy(update={"seed": seed}),
        }
    )


def check_training(recipe: Recipe, folder: Path, force: bool) -> None:
    """Find out whether `train_schedule` can begin.

    Raises
    ------
    ConfigError
        If another training is in the folder, and not `force`.
    OutputError
        If something else is.
    """
    other = _difference(recipe, folder)
    if other and not force:
        raise ConfigError(
            f"{folder}: was trained by another recipe ({other} differs), so there is nothing to continue or compare; "
            "--force trains again, -o names another folder"
        )
    RunFolder(folder).check(recipe, resume=not other, force=bool(other))


def train_schedule(
    recipe: Recipe, data: TrainingData, folder: Path, force: bool, told: Callable[[str], None] | None = None
) -> Trained:
    """Train, go on with a training that was stopped, or take the result of one that has ended.

    Parameters
    ----------
    recipe : Recipe
        Of `schedule_recipe`.
    data : TrainingData
        Of the recipe's data and seed.
    folder : Path
        Run folder.
    force : bool
        Replace a training by another recipe.
    told : callable, optional
        Gets one line after each validation.

    Raises
    ------
    KascadeError
        As `check_training` and `kascade.train.run.train`.
    """
    check_training(recipe, folder, force)
    other = bool(_difference(recipe, folder))
    return train(recipe, data, folder, resume=not other, force=other, told=told)


def _difference(recipe: Recipe, folder: Path) -> str:
    """First section of the recipe in a run folder that is another; empty where there is none or all are the same.

    A training may be continued with more steps, but it would be compared with others that never stopped in between.
    """
    path = RunFolder(folder).recipe
    if not path.exists():
        return ""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        then, now = _decisive(before), _decisive(recipe.model_dump(mode="json"))
    except (OSError, ValueError, KeyError, TypeError):
        return "a damaged recipe.json"
    sections = (f"{name}.{key}" for name in now for key in now[name] if then[name].get(key) != now[name][key])
    return next(sections, "")


def _decisive(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    kept = {name: dict(recipe[name]) for name in ("data", "model", "loss", "training")}
    kept["training"].pop("workers", None)
    return kept
