"""What is compared, and its trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kascade.benchmarks.lambda_schedules import (
    Schedule,
    base_recipe,
    check_training,
    choose_schedules,
    default_recipe,
    schedule_recipe,
)
from kascade.errors import ConfigError, OutputError
from kascade.train.folder import RunFolder
from kascade.train.module import CascadeTraining
from kascade.train.recipe import with_training
from kascade.unroll.schedules import NICKEL_TABLE_1
from tests.benchmarks.lambda_tiny import RECIPE, tiny_recipe, write_recipe


def test_learned_comes_first_and_once() -> None:
    assert choose_schedules(["2.5", "tied", "learned", "2.50"]) == [
        Schedule("learned", "learned"),
        Schedule("constant-2.5", 2.5),
        Schedule("tied", "tied"),
    ]
    everything = choose_schedules()
    assert {s.name for s in everything if not s.constant} == {"learned", "tied", "predicted", "table1", "geometric"}
    assert sum(s.constant for s in everything) == 3


@pytest.mark.parametrize("text", ["magic", "0", "-1", "inf", "nan"])
def test_other_schedules_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected learned, tied, predicted, table1, geometric, or a positive number"):
        choose_schedules([text])


def test_the_recipe_of_the_repository_fits_every_schedule() -> None:
    base, notes = base_recipe(default_recipe(), None)
    assert [source.kind for source in base.data.sources] == ["phantom"] and len(notes) == 2
    for schedule in choose_schedules():
        recipe = schedule_recipe(base, schedule, 3)
        assert recipe.model.iterations == len(NICKEL_TABLE_1)


def test_sources_count_where_they_are_there(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    without, notes = base_recipe(path, tmp_path)
    assert [source.kind for source in without.data.sources] == ["phantom"]
    assert notes == ["without the images of 't1w', which are not in the data folder"]
    (tmp_path / "t1w").mkdir()
    with_them, notes = base_recipe(path, tmp_path, steps=77)
    assert [source.kind for source in with_them.data.sources] == ["nifti", "phantom"] and not notes
    assert with_them.training.steps == 77


def test_recipes_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    for model in ("{kind: modl, prior: {name: unet}}", "{final_consistency: true}"):
        path.write_text(RECIPE.partition("model:")[0] + f"model: {model}\ntraining: {{steps: 3}}\n")
        with pytest.raises(ConfigError, match="without final_consistency"):
            base_recipe(path, None)
    path.write_text(RECIPE.replace("    - {kind: phantom}\n", ""))
    with pytest.raises(ConfigError, match="none of its data is there"):
        base_recipe(path, None)
    with pytest.raises(ConfigError, match="6 values, the cascade 2 iterations"):
        schedule_recipe(tiny_recipe(), Schedule("table1", "table1"), 1)


def test_schedule_and_seed_are_all_that_differs() -> None:
    base = tiny_recipe()
    networks = []
    for schedule in choose_schedules(["tied", "predicted", "2.5"]):
        recipe = schedule_recipe(base, schedule, 4)
        assert recipe.training == base.training.model_copy(update={"seed": 4})
        assert (recipe.data, recipe.loss) == (base.data, base.loss)
        assert recipe.model == base.model.model_copy(update={"lam": schedule.lam})
        state = CascadeTraining(recipe).model.state_dict()
        networks.append({name: w for name, w in state.items() if name.startswith("priors")})
    for other in networks[1:]:
        assert other.keys() == networks[0].keys()
        assert all(torch.equal(other[name], weights) for name, weights in networks[0].items())


def test_a_training_by_another_recipe_is_not_continued(tmp_path: Path) -> None:
    recipe = schedule_recipe(tiny_recipe(), Schedule("tied", "tied"), 1)
    run = RunFolder(tmp_path / "run")
    check_training(recipe, run.path, force=False)  # nothing there
    run.path.mkdir()
    run.recipe.write_text(json.dumps(recipe.model_dump(mode="json")))
    check_training(recipe, run.path, force=False)
    more_workers = recipe.model_copy(update={"training": recipe.training.model_copy(update={"workers": 3})})
    check_training(more_workers, run.path, force=False)
    for other, what in (
        (with_training(recipe, steps=99), r"training\.steps"),
        (schedule_recipe(tiny_recipe(), Schedule("constant-2.5", 2.5), 1), r"model\.lam"),
    ):
        with pytest.raises(ConfigError, match=rf"another recipe \({what} differs\)"):
            check_training(other, run.path, force=False)
        check_training(other, run.path, force=True)
    run.recipe.write_text("{")
    with pytest.raises(ConfigError, match=r"a damaged recipe\.json"):
        check_training(recipe, run.path, force=False)
    run.recipe.rename(run.path / "thesis.txt")
    with pytest.raises(OutputError, match="something else"):
        check_training(recipe, run.path, force=True)
