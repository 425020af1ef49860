from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kascade.errors import ConfigError
from kascade.train.recipe import Recipe
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.tasks import load_task
from tests.train.restoration.tiny import RECIPE, tiny_recipe

SOURCE = RECIPE["data"]["sources"][0]
RECIPES = Path(__file__).parents[3] / "recipes"


def test_the_recipes_that_come_with_kascade_are_valid_and_share_their_data() -> None:
    classifier, _ = load_task(RECIPES / "cag-classifier.yaml")
    cyclic, _ = load_task(RECIPES / "cag-cyclic.yaml")
    assert isinstance(classifier, RestorationRecipe) and isinstance(cyclic, RestorationRecipe)
    assert classifier.data.sources == cyclic.data.sources
    assert cyclic.training.start_from == f"runs/{classifier.name}/best.safetensors"
    assert all(cyclic.model.options[name] == value for name, value in classifier.model.options.items())
    assert isinstance(load_task(RECIPES / "brain-prior.yaml")[0], Recipe)


@pytest.mark.parametrize(
    ("kind", "sections", "message"),
    [
        ("restormer", {"cycle": {"semantic": 0.5}}, "cycle is for the model cag"),
        ("restormer", {"training": {"start_from": "x"}}, "start_from is for the model cag"),
        ("cag", {}, "cag needs a trained classifier"),
        ("cag", {"training": {"start_from": "x", "ema": 0.9}}, "set training.ema to 0"),
        ("restormer", {"training": {"precision": "bf16"}}, "bf16 is for cascades"),
        ("hinet", {"loss": "relative"}, "hinet has its own"),
        ("restormer", {"data": {"patch": [40, 32]}, "model": {"options": {"bands": True}}}, "multiples of 16"),
        ("pix2pix", {"data": {"patch": [40, 32]}, "model": {"options": {"levels": 4}}}, "multiples of 16"),
        (
            "restormer",
            {"data": {"matrix": [40, 48], "patch": None}, "model": {"options": {"bands": True}}},
            "data.matrix in multiples",
        ),
        ("restormer", {"data": {"sources": [{**SOURCE, "orientations": ["axial", "coronal"]}]}}, "one orientation"),
        ("restormer", {"data": {"patch": [64, 32]}}, "patch .* is larger than matrix"),
        ("restormer", {"data": {"matrix": [50, 40]}}, "multiple of 8"),
        ("restormer", {"data": {"mixtures": {"blur": 1}}}, "expected clean, or some of"),
        ("restormer", {"data": {"severities": ["awful"]}}, "mild"),
        ("restormer", {"task": "reconstruction"}, "restoration"),
    ],
)
def test_what_cannot_work_is_refused(kind: str, sections: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny_recipe(kind, **sections)


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    text = (RECIPES / "cag-classifier.yaml").read_text()
    path = tmp_path / "r.yaml"
    for old, new, message in (
        ("task: restoration", "task: repair", r"r\.yaml:5: task is 'repair'; expected one of reconstruction, restor"),
        ("slices: 90", "slice: 90", r"r\.yaml:\d+: unknown key data\.slice; expected one of sources, mixtures"),
        ("width: 16", "breadth: 16", r"r\.yaml:\d+: model 'classifier' refuses the options"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=message):
            load_task(path)
