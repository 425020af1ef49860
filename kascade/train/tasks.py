"""What recipes train, by their task: reconstruction (cascades), restoration, generation or super-resolution."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kascade.errors import ConfigError
from kascade.train.base import TrainingModule
from kascade.train.batches import ExampleSource
from kascade.train.recipe import BaseRecipe, Recipe, read_text, validated
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.superres.recipe import GenerationRecipe, SuperResolutionRecipe
from kascade.train.yaml_lines import parse_yaml

__all__ = ["load_task", "make_data", "make_training"]

TASKS: dict[str, type[BaseRecipe]] = {
    "reconstruction": Recipe,
    "restoration": RestorationRecipe,
    "generation": GenerationRecipe,
    "super-resolution": SuperResolutionRecipe,
}


def load_task(path: str | os.PathLike[str]) -> tuple[BaseRecipe, str]:
    """Read a recipe of any task, and its text.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is not text.
    ConfigError
        If the recipe is wrong: names file, line, key and what is allowed.
    """
    text = read_text(path)
    source = parse_yaml(text, str(path))
    task = source.content.get("task", "reconstruction")
    if task not in TASKS:
        raise ConfigError(f"{source.place(('task',))}: task is {task!r}; expected one of {', '.join(TASKS)}")
    return validated(source, TASKS[task]), text


def make_data(recipe: BaseRecipe, folder: Path, watch: Callable[[int, int], None] | None = None) -> ExampleSource:
    """Read what a recipe's examples are made of.

    Parameters
    ----------
    recipe : BaseRecipe
    folder : Path
        Where the folders of the sources are.
    watch : callable, optional
        Called as watch(done, total) while files are read.

    Raises
    ------
    ConfigError
        If a source has no file for training.
    FileFormatError
        If a file cannot be read.
    """
    if isinstance(recipe, RestorationRecipe):
        from kascade.train.restoration.data import RestorationData

        return RestorationData(recipe.data, folder, recipe.training.seed, watch)
    if isinstance(recipe, GenerationRecipe):
        from kascade.train.superres.data import SliceSource

        return SliceSource(recipe.data, folder, recipe.training.seed, watch)
    if isinstance(recipe, SuperResolutionRecipe):
        from kascade.train.superres.data import ThickSource

        return ThickSource(recipe.data, folder, recipe.training.seed, watch)
    from kascade.train.examples import TrainingData

    assert isinstance(recipe, Recipe)
    return TrainingData(recipe.data, folder, recipe.training.seed, watch)


def make_training(recipe: BaseRecipe, data: ExampleSource, restored: bool = False) -> TrainingModule:
    """Make the model of a recipe, ready to be trained.

    Parameters
    ----------
    recipe : BaseRecipe
    data : ExampleSource
        Its examples.
    restored : bool
        A saved state will be loaded: the file of `training.start_from` is not needed.
    """
    if isinstance(recipe, RestorationRecipe):
        from kascade.train.restoration.trainings import restoration_training

        return restoration_training(recipe, data, restored)
    if isinstance(recipe, GenerationRecipe):
        from kascade.train.superres.generation import GenerationTraining

        return GenerationTraining(recipe)
    if isinstance(recipe, SuperResolutionRecipe):
        from kascade.train.superres.training import SuperResolutionTraining

        return SuperResolutionTraining(recipe, restored)
    from kascade.train.module import CascadeTraining

    assert isinstance(recipe, Recipe)
    return CascadeTraining(recipe, restored)
