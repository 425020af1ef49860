from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kascade.train.recipe import parse_recipe, with_training
from kascade.unroll import load_model
from tests.cli.conftest import Run

RECIPE = """\
name: little
data:
  sources: [{kind: phantom}]
  coils: [3, 4]
  acs: [12, 16]
  acceleration: [2, 3]
  pixels: 1200
  spacing_mm: [6.0, 8.0]
  validation_examples: 2
model:
  iterations: 1
  prior: {name: unet, options: {channels: 2, levels: 1}}
training: {steps: 2, batch: 2, validate_every: 1, learning_rate: 1.0e-3}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KASCADE_DATA", raising=False)
    path = tmp_path / "little.yaml"
    path.write_text(RECIPE)
    return path


def test_a_model_is_trained_and_continued(kascade: Callable[..., Run], recipe: Path) -> None:
    run = kascade("train", recipe, "--accelerator", "cpu")
    assert run.code == 0, run.err
    assert run.out.startswith("runs/little/best.safetensors: ") and " dB, SSIM " in run.out
    assert [line.split(":")[0] for line in run.err.splitlines()] == ["step 1", "step 2"]
    assert load_model("runs/little/last.safetensors").card["steps"] == 2
    assert Path("runs/little/recipe.yaml").read_text() == RECIPE

    again = kascade("train", recipe)
    assert again.code == 1 and "--resume" in again.err and len(again.err.splitlines()) == 1
    more = kascade("train", recipe, "--resume", "--steps", "3", "--accelerator", "cpu", "--quiet")
    assert more.code == 0 and not more.err
    assert load_model("runs/little/last.safetensors").card["steps"] == 3
    assert json.loads(Path("runs/little/recipe.json").read_text())["training"]["steps"] == 3
    known = load_model("runs/little/last.safetensors").card["recipe"]
    assert parse_recipe(known) == with_training(parse_recipe(RECIPE), steps=3)
    assert Path("runs/little/recipe.yaml").read_text() == known


def test_another_seed_stands_in_the_recipe_that_is_kept(kascade: Callable[..., Run], recipe: Path) -> None:
    run = kascade("train", recipe, "--seed", "5", "--steps", "1", "--accelerator", "cpu")
    assert run.code == 0, run.err
    kept = parse_recipe(Path("runs/little/recipe.yaml").read_text())
    assert (kept.training.seed, kept.training.steps) == (5, 1)


def test_a_wrong_recipe_is_told_in_one_line(kascade: Callable[..., Run], recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("iterations", "iteration"))
    run = kascade("train", recipe)
    assert run.code == 2 and run.err.startswith(f"kascade: error: {recipe}:11: unknown key model.iteration; expected")
    assert not Path("runs").exists()
    assert kascade("train", "absent.yaml").code == 2


def test_data_that_are_not_there_are_told(kascade: Callable[..., Run], recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("{kind: phantom}", "{kind: nifti, folder: nowhere, licence: CC0}"))
    run = kascade("train", recipe)
    assert run.code == 2 and "nowhere" in run.err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_two_processes_train_as_one(recipe: Path) -> None:
    program = [str(Path(sys.executable).with_name("kascade")), "train", str(recipe)]
    for name, devices in (("one", "1"), ("two", "2")):
        command = [*program, "-o", name, "--accelerator", "cpu", "--devices", devices]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        assert len(run.stdout.splitlines()) == 1 and len(run.stderr.splitlines()) == 2, run.stderr
    one, two = (load_file(f"{name}/last.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=2e-5)
    scores = [load_model(f"{name}/last.safetensors").card["scores"] for name in ("one", "two")]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)
