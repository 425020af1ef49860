"""A run of the restoration benchmark: trainings that can be stopped and continued, tests, and the files of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kascade.benchmarks.planning import chosen_methods, data_folder, held_out_files
from kascade.benchmarks.restore_explain import explain_locally
from kascade.benchmarks.restore_figures import examples_figure, explanations_figure, low_field_figure
from kascade.benchmarks.restore_lowfield import LowField, restore_low_field
from kascade.benchmarks.restore_methods import CLASSIFIER, METHODS, RestoreMethod, base_recipes, method_recipe
from kascade.benchmarks.restore_report import RestoreResults, restore_csv, restore_markdown
from kascade.benchmarks.restore_tests import ImageRow, RestoreTest, classify_tests, make_tests, score_network
from kascade.benchmarks.trainings import fingerprint, kept_rows, same_volumes, scores_path, train_to_the_end
from kascade.data.atomic import refuse_existing
from kascade.nets.cag import CAG
from kascade.recon.outputs import all_or_none, make_folder
from kascade.recon.restoration import load_restorer
from kascade.report.canvas import save_figure
from kascade.train.environment import machine
from kascade.train.restoration.data import CleanVolume, RestorationData, read_clean
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.run import silent

__all__ = ["RestorePlan", "plan_restore", "run_restore"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class RestorePlan:
    """What is trained and tested.

    Attributes
    ----------
    recipe, classifier : RestorationRecipe
        What the networks have in common, and the classifier's.
    methods : tuple of RestoreMethod
        What is compared.
    seeds : tuple of int
        Trainings of each.
    slices : int
        Of each test subject.
    data : Path
        Folder of the data.
    """

    recipe: RestorationRecipe
    classifier: RestorationRecipe
    methods: tuple[RestoreMethod, ...]
    seeds: tuple[int, ...]
    slices: int
    data: Path

    @property
    def steps(self) -> int:
        """How often a run tells of its progress."""
        return 2 + 2 * len(self.seeds) * (1 + len(self.methods))

    def outputs(self, folder: Path) -> list[Path]:
        """Files of a run beside the trainings."""
        names = ["restore.md", "scores.csv", "examples.png"]
        if any(method.kind == "cag" and method.options.get("explain", True) for method in self.methods):
            names.append("explanations.png")
        if (self.data / "lowfield").is_dir():
            names.append("lowfield.png")
        return [folder / name for name in names]


def plan_restore(
    data: Path | None,
    methods: Sequence[str] = (),
    seeds: int = 3,
    steps: int | None = None,
    slices: int = 3,
    recipe: Path | None = None,
    classifier: Path | None = None,
) -> RestorePlan:
    """Find data and recipes.

    Parameters
    ----------
    data : Path
        Folder of the recipes' data.
    methods : sequence of str
        Names of `METHODS`; all by default.
    seeds : int
        Trainings of each method.
    steps : int, optional
        Of each training, instead of the recipe's.
    slices : int
        Tested of each subject.
    recipe, classifier : Path, optional
        As `base_recipes`.

    Raises
    ------
    ConfigError
        If there is no data or no such method, or a recipe is wrong.
    """
    folder, chosen = data_folder(data), chosen_methods(methods, METHODS)
    networks, front = base_recipes(recipe, classifier, steps)
    return RestorePlan(networks, front, chosen, tuple(range(1, seeds + 1)), slices, folder)


def run_restore(
    plan: RestorePlan, folder: Path, force: bool = False, progress: Tell | None = None, told: Tell | None = None
) -> RestoreResults:
    """Train, test, and write tables and figures.

    Trainings lie in ``runs/METHOD-SEED``, their scores beside their weights: what has ended is taken as it is, what was
    stopped goes on. Everything else is written when all is done.

    Parameters
    ----------
    plan : RestorePlan
    folder : Path
        Is made where it is missing.
    force : bool
        Replace existing tables and figures, and trainings by another recipe.
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
    make_folder(folder / "runs")
    for path in plan.outputs(folder):
        refuse_existing(path, force)
    tell("reading volumes")
    data = RestorationData(plan.recipe.data, plan.data, 0)
    volumes = _test_volumes(plan)
    tests = make_tests(volumes, plan.slices)
    tested = fingerprint(test.degraded for test in tests)
    rows: dict[str, dict[int, list[ImageRow]]] = {"degraded": {0: score_network(None, tests)}}
    results = RestoreResults(plan.recipe, plan.classifier, plan.seeds, tests, rows, {}, {}, machine())
    weights: dict[tuple[str, int], Path] = {}
    for seed in plan.seeds:
        front = folder / "runs" / f"{CLASSIFIER}-{seed}"
        recipe = plan.classifier.model_copy(
            update={"training": plan.classifier.training.model_copy(update={"seed": seed})}
        )
        tell(f"training the classifier, seed {seed}")
        best = _trained(recipe, data, front, force, told)
        tell(f"testing the classifier, seed {seed}")
        results.logits[seed] = classify_tests(load_restorer(best).model, tests)
        for method in plan.methods:
            place = folder / "runs" / f"{method.folder}-{seed}"
            tell(f"training {method.name}, seed {seed}")
            weights[method.name, seed] = _trained(
                method_recipe(plan.recipe, method, seed, best), data, place, force, told
            )
            tell(f"testing {method.name}, seed {seed}")
            rows.setdefault(method.name, {})[seed] = _tested(weights[method.name, seed], tests, tested)
            results.hours[method.name, seed] = load_restorer(weights[method.name, seed]).card["hours"]
    tell("figures")
    _write(results, plan, folder, volumes, {n: weights[n, plan.seeds[0]] for n in rows if n != "degraded"}, force)
    return results


def _trained(recipe: RestorationRecipe, data: RestorationData, folder: Path, force: bool, told: Tell) -> Path:
    """Weights of the last step."""
    own = same_volumes(data, recipe.data, recipe.training.seed)
    return train_to_the_end(recipe, own, folder, force, told)


def _tested(weights: Path, tests: Sequence[RestoreTest], images: str) -> list[ImageRow]:
    """Scores of a training, kept beside its weights for the tests of the fingerprint `images`."""
    path = scores_path(weights.parent, weights, images)
    return kept_rows(path, ImageRow, lambda: score_network(load_restorer(weights).model, tests))


def _test_volumes(plan: RestorePlan) -> list[CleanVolume]:
    """Volumes that the recipe names as `test`: of all its sources."""
    config = plan.recipe.data
    return [
        read_clean(path, config.matrix, config.slices, source.orientations[0])
        for source, path in held_out_files(config.sources, plan.data)
    ]


def _write(
    results: RestoreResults,
    plan: RestorePlan,
    folder: Path,
    volumes: Sequence[CleanVolume],
    weights: dict[str, Path],
    force: bool,
) -> None:
    networks = {name: load_restorer(path).model for name, path in weights.items()}
    guided = [n for n in networks.values() if isinstance(n, CAG) and n.explain]
    with torch.no_grad():
        local = explain_locally(guided[0], volumes) if guided else []
        low: list[LowField] = restore_low_field(plan.data / "lowfield", networks)
        figures = {"examples.png": examples_figure(results.tests, networks)}
    if local:
        figures["explanations.png"] = explanations_figure(local)
    if low:
        figures["lowfield.png"] = low_field_figure(low)
    texts = {"restore.md": restore_markdown(results, local, low), "scores.csv": restore_csv(results)}
    wanted = [path for path in plan.outputs(folder) if path.name in (*texts, *figures)]
    with all_or_none(wanted, force) as beside:
        for path in beside:
            if path.name in texts:
                path.write_text(texts[path.name], encoding="utf-8")
            else:
                save_figure(figures[path.name], path)
