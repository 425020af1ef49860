from __future__ import annotations

from pathlib import Path

import pytest

from kascade.errors import ConfigError, FileFormatError
from kascade.train.recipe import load_recipe, parse_recipe, with_training

GOOD = """\
name: brain
data:
  sources:
    - kind: phantom
    - kind: nifti
      folder: t1w
      licence: CC0
model:
  iterations: 3
  prior:
    name: unet
    options: {channels: 4}
loss: {l1: 1, ssim: 0.5}
training:
  steps: 100
  learning_rate: 1e-3
"""


def test_a_recipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "brain.yaml"
    path.write_text(GOOD)
    recipe, text = load_recipe(path)
    assert text == GOOD
    assert (recipe.name, recipe.model.iterations, recipe.training.steps) == ("brain", 3, 100)
    assert recipe.training.learning_rate == 1e-3  # which YAML 1.1 takes for text
    assert (recipe.loss.l1, recipe.loss.mse, recipe.loss.ssim) == (1, 0, 0.5)
    assert with_training(recipe, steps=7).training.steps == 7
    assert with_training(recipe, steps=None, seed=9).training.seed == 9
    assert with_training(recipe, steps=None, seed=9).training.steps == recipe.training.steps


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  steps: 100",
            "  stepz: 100",
            r"r\.yaml:15: unknown key training\.stepz; expected one of steps, batch, lear",
        ),
        (
            "name: brain",
            "nom: brain",
            r"r\.yaml:1: unknown key nom; expected one of name, description, licence, training, task,",
        ),
        ("      folder: t1w", "      ordner: t1w", r"r\.yaml:6: unknown key .*ordner; expected one of folder, files, "),
        ("  steps: 100", "  steps: many", r"r\.yaml:15: training\.steps is 'many': .*integer"),
        ("  steps: 100", "  steps: -1", r"r\.yaml:15: training\.steps is -1: .*greater than 0"),
        (
            "  steps: 100",
            "  steps: 1\n  precision: fp16",
            r"r\.yaml:16: training\.precision is 'fp16': .*'float32' or 'bf16'",
        ),
        ("  steps: 100\n", "", r"r\.yaml:14: the key steps is missing in training"),
        ("name: brain\n", "", r"r\.yaml:1: the key name is missing"),
        ("kind: phantom", "kind: fantom", r"r\.yaml:4: data\.sources\.0.*'phantom'"),
        ("name: brain", "name: a/b", r"r\.yaml:1: name is 'a/b'"),
        ("l1: 1, ssim: 0.5", "l1: 0", r"r\.yaml:13: loss.*all losses are 0"),
        ("iterations: 3", "iterations: 3\n  lam: nonsense", r"r\.yaml:\d+: model.*no lambda schedule 'nonsense'"),
        ("iterations: 3", "iterations: 3\n  lam: {a: 1}", r"r\.yaml:10: model\.lam"),
        ("data:", "data:\n  snr: [5, .inf]", r"r\.yaml:3: data\.snr\.1 is inf: .*finite"),
        ("data:", "data:\n  masks: {grid: .nan}", r"r\.yaml:3: data\.masks\.grid is nan: .*finite"),
        (
            "- kind: phantom",
            "- kind: phantom\n      weight: .inf",
            r"r\.yaml:5: data\.sources\.0.*weight is inf: .*finite",
        ),
        (
            "      folder: t1w",
            "      folder: t1w\n      files: ''",
            r"r\.yaml:7: data\.sources\.1.*files is '': .*pattern",
        ),
        ("      folder: t1w", "      folder: t1w\n      files: /x", r"r\.yaml:7: .*files is '/x': .*below the folder"),
        ("      folder: t1w", "      folder: t1w\n      files: '**.h5'", r"r\.yaml:7: .*files is '\*\*\.h5': "),
        ("    name: unet", "    name: vnet", r"r\.yaml:8: there is no prior 'vnet'; choose one of unet"),
        ("name: unet\n", "name: unet\n    channels: slices\n", r"r\.yaml:8: model: prior\.channels slices .*unrelated"),
        ("channels: 4", "canals: 4", r"r\.yaml:8: prior 'unet' refuses the options"),
        ("loss: {", "loss: {l1: 2, ", r"r\.yaml:13: the key l1 is given a second time \(first in line 13\)"),
        ("name: brain", "name: [brain", r"r\.yaml:\d+: is not YAML"),
        (
            "name: brain",
            "name: !!python/object:os.system {}",
            r"r\.yaml:1: is not YAML: could not determine a constructor",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message) as caught:
        parse_recipe(GOOD.replace(old, new, 1), "r.yaml")
    assert "\n" not in str(caught.value)


def test_losses_that_a_cascade_cannot_have_are_refused() -> None:
    model = GOOD[GOOD.index("  iterations") : GOOD.index("loss:")]
    with pytest.raises(ConfigError, match=r"r\.yaml:1: the recipe: .*set loss\.magnitude to true"):
        parse_recipe(GOOD.replace(model, "  kind: varnet\n"), "r.yaml")
    with pytest.raises(ConfigError, match=r"every_iteration is for models of kind unrolled-sense"):
        parse_recipe(GOOD.replace("  iterations: 3", "  kind: modl").replace("ssim: 0.5", "every_iteration: 1"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2**31}, r"training\.seed is 2147483648: .*less than"),
        ({"steps": 0}, r"training\.steps is 0: .*greater than 0"),
    ],
)
def test_changed_values_are_checked(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_training(parse_recipe(GOOD), **changes)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "1"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected keys and their values"):
        parse_recipe(text)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x93")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(FileFormatError, match="expected a recipe in YAML"):
            load_recipe(path)
