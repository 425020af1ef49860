"""Trainings of benchmarks: they can be stopped and continued, and keep their scores beside their weights."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from kascade.benchmarks.tables import Row, read_rows, write_rows
from kascade.errors import ConfigError
from kascade.train.examples.volumes import VolumeSource
from kascade.train.recipe import BaseRecipe
from kascade.train.run import check_run, train

if TYPE_CHECKING:
    from kascade.train.batches import ExampleSource

__all__ = ["fingerprint", "kept_rows", "same_volumes", "scores_path", "train_to_the_end"]

S = TypeVar("S", bound=VolumeSource[Any, Any, Any])


def same_volumes(data: S, config: object, seed: int) -> S:
    """The volumes that `data` holds in memory, for a recipe with another `data` section or seed."""
    own = copy.copy(data)
    own.config, own.seed = config, seed
    return own


def train_to_the_end(
    recipe: BaseRecipe, data: ExampleSource, folder: Path, force: bool, told: Callable[[str], None]
) -> Path:
    """Train, go on with what was stopped, or take what has ended.

    The best weights are those of the highest validation score, which each method may have at another step; all are
    compared at the end of the same budget: one that had another is no part of it.

    Parameters
    ----------
    recipe : BaseRecipe
    data : ExampleSource
        Of the recipe's data and seed.
    folder : Path
        Run folder; its name stands before each line that is told.
    force : bool
        Replace a training by another recipe.
    told : callable
        Gets a line after each validation.

    Returns
    -------
    Path
        The weights of the last step.

    Raises
    ------
    KascadeError
        As `kascade.train.run.train`.
    """
    try:
        check_run(recipe, folder, resume=True, may_change=("workers",))
        resume = True
    except ConfigError:
        if not force:
            raise
        resume = False
    name = folder.name
    train(recipe, data, folder, resume=resume, force=not resume, told=lambda line: told(f"{name}: {line}"))
    return folder / "last.safetensors"


def scores_path(folder: Path, weights: Path | None, tested: object) -> Path:
    """File of the scores of `weights` (None: of no network), which changes with them and with what they are tested on.

    Parameters
    ----------
    folder : Path
        Where it lies.
    weights : Path, optional
        A file.
    tested : object
        Whatever tells tests apart, by its repr.
    """
    content = (b"" if weights is None else weights.read_bytes()) + repr(tested).encode()
    return folder / f"scores-{hashlib.sha256(content).hexdigest()[:12]}.csv"


def fingerprint(images: Iterable[Tensor]) -> str:
    """SHA-256 of what is tested on, so that scores of other data under the same name are not taken for these."""
    sha = hashlib.sha256()
    for image in images:
        sha.update(repr(tuple(image.shape)).encode())
        sha.update(image.contiguous().numpy().tobytes())
    return sha.hexdigest()


def kept_rows(path: Path, kind: type[Row], score: Callable[[], Sequence[Row]]) -> list[Row]:
    """Rows of a file; where it is missing they are computed and written first."""
    if not path.exists():
        write_rows(path, kind, score())
    return read_rows(path, kind)
