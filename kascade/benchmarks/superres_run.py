"""A run of the super-resolution benchmark: trainings that can be stopped and continued, tests, tables and figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kascade.benchmarks.planning import chosen_methods, data_folder
from kascade.benchmarks.superres_figure import Views, examples_figure, read_views, write_views
from kascade.benchmarks.superres_methods import (
    CUBIC,
    METHODS,
    SuperResMethod,
    base_recipe,
    check_files,
    method_recipe,
)
from kascade.benchmarks.superres_report import SuperResResults, superres_csv, superres_markdown
from kascade.benchmarks.superres_tests import SuperResRow, SuperResTest, held_out_tests, score_volume
from kascade.benchmarks.trainings import kept_rows, same_volumes, scores_path, train_to_the_end
from kascade.data.atomic import refuse_existing
from kascade.recon.outputs import all_or_none, make_folder
from kascade.recon.superres.volume import LAM
from kascade.recon.superres.weights import load_superres
from kascade.report.canvas import save_figure
from kascade.train.environment import machine
from kascade.train.run import silent
from kascade.train.superres.data import ThickSource
from kascade.train.superres.recipe import SuperResolutionRecipe

__all__ = ["SuperResPlan", "plan_superres", "run_superres"]

Tell = Callable[[str], None]
OUTPUTS = ("superres.md", "scores.csv", "examples.png")


@dataclass(frozen=True)
class SuperResPlan:
    """What is trained and tested.

    Attributes
    ----------
    recipe : SuperResolutionRecipe
        What the networks have in common.
    methods : tuple of SuperResMethod
        The networks; cubic interpolation is always tested, too.
    seeds : tuple of int
        Trainings of each.
    subjects : int, optional
        How many of the recipe's test subjects count; None: all.
    data : Path
        Folder of the data.
    """

    recipe: SuperResolutionRecipe
    methods: tuple[SuperResMethod, ...]
    seeds: tuple[int, ...]
    subjects: int | None
    data: Path

    @property
    def steps(self) -> int:
        """How often a run tells of its progress."""
        return 2 + 2 * len(self.seeds) * len(self.methods) + 1


def plan_superres(
    data: Path | None,
    methods: Sequence[str] = (),
    seeds: int = 3,
    steps: int | None = None,
    factor: int | None = None,
    subjects: int | None = None,
    recipe: Path | None = None,
) -> SuperResPlan:
    """Find data, recipe, and what trainings begin from.

    Parameters
    ----------
    data : Path
        Folder of the recipe's data.
    methods : sequence of str
        Names of `METHODS`; all by default.
    seeds : int
        Trainings of each network.
    steps, factor : int, optional
        Of each training and of the slices, instead of the recipe's.
    subjects : int, optional
        How many of the test subjects; all by default.
    recipe : Path, optional
        As `base_recipe`.

    Raises
    ------
    ConfigError
        If there is no data or no such method, the recipe is wrong, or a file it begins from is missing.
    """
    folder, chosen = data_folder(data), chosen_methods(methods, METHODS)
    networks = tuple(method for method in chosen if method.name != CUBIC)
    base = base_recipe(recipe, factor, steps)
    check_files([method_recipe(base, method, 1) for method in networks])
    return SuperResPlan(base, networks, tuple(range(1, seeds + 1)), subjects, folder)


def run_superres(
    plan: SuperResPlan, folder: Path, force: bool = False, progress: Tell | None = None, told: Tell | None = None
) -> SuperResResults:
    """Train, test, and write tables and figure.

    Trainings lie in ``runs/METHOD-SEED``, their scores beside their weights, subject by subject: what has ended is
    taken as it is, what was stopped goes on. Everything else is written when all is done.

    Parameters
    ----------
    plan : SuperResPlan
    folder : Path
        Is made where it is missing.
    force : bool
        Replace existing tables and figure, and trainings by another recipe.
    progress : callable, optional
        Called with a description `plan.steps` times.
    told : callable, optional
        Gets a line after each validation.

    Raises
    ------
    OutputError
        If a file exists (and not `force`) or cannot be written.
    ConfigError
        If a training in the folder had another recipe (and not `force`).
    KascadeError
        If a training fails.
    """
    tell, told = progress or silent, told or silent
    outputs = [folder / name for name in OUTPUTS]
    make_folder(folder / "runs")
    for path in outputs:
        refuse_existing(path, force)
    tell("reading volumes")
    tests = held_out_tests(plan.recipe.data, plan.data, plan.subjects)
    data = ThickSource(plan.recipe.data, plan.data, 0) if plan.methods else None
    tell("testing cubic interpolation")
    rows: dict[str, dict[int, list[SuperResRow]]] = {}
    views: dict[str, Views] = {}
    make_folder(folder / "runs" / CUBIC)
    rows[CUBIC] = {0: _tested(None, folder / "runs" / CUBIC, tests, plan, views, CUBIC)}
    results = SuperResResults(plan.recipe, plan.seeds, rows, {}, machine())
    for seed in plan.seeds:
        for method in plan.methods:
            assert data is not None  # there are networks
            place, recipe = folder / "runs" / f"{method.folder}-{seed}", method_recipe(plan.recipe, method, seed)
            tell(f"training {method.name}, seed {seed}")
            weights = train_to_the_end(recipe, same_volumes(data, recipe.data, seed), place, force, told)
            tell(f"testing {method.name}, seed {seed}")
            rows.setdefault(method.name, {})[seed] = _tested(weights, place, tests, plan, views, method.name)
            results.hours[method.name, seed] = load_superres(weights).card["hours"]
    tell("figure")
    figure = examples_figure(tests[0], plan.recipe.data, views)
    with all_or_none(outputs, force) as (markdown, table, picture):
        markdown.write_text(superres_markdown(results), encoding="utf-8")
        table.write_text(superres_csv(results), encoding="utf-8")
        save_figure(figure, picture)
    return results


def _tested(
    weights: Path | None,
    place: Path,
    tests: Sequence[SuperResTest],
    plan: SuperResPlan,
    views: dict[str, Views],
    name: str,
) -> list[SuperResRow]:
    """Scores of a training, kept in its folder; `views` gets the first subject's images of its first seed."""
    network = None if weights is None else load_superres(weights).model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config, found = plan.recipe.data, []
    for test in tests:
        tested = (test.subject, test.voxels, config.factor, config.axis, config.profile, LAM)
        path = scores_path(place, weights, tested)

        def score(test: SuperResTest = test, path: Path = path) -> list[SuperResRow]:
            rows, volume = score_volume(network, test, config, device)
            write_views(path.with_suffix(".npz"), test, config, volume)  # before the rows, which say that all is done
            return rows

        found += kept_rows(path, SuperResRow, score)
        if test is tests[0] and name not in views:
            views[name] = read_views(path.with_suffix(".npz"))
    return found
