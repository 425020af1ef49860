from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kascade.train.superres.recipe import GenerationRecipe, SuperResolutionRecipe
from kascade.train.tasks import load_task
from tests.train.superres.tiny import SIZES, generation, superres

RECIPES = Path(__file__).parents[3] / "recipes"


def test_the_recipes_that_come_with_kascade_fit_together() -> None:
    first, _ = load_task(RECIPES / "styleswin-pretrain.yaml")
    second, _ = load_task(RECIPES / "transmrsr.yaml")
    assert isinstance(first, GenerationRecipe) and isinstance(second, SuperResolutionRecipe)
    assert first.data.sources == second.data.sources  # no subject of a test is seen by the generator
    assert second.prior.file == f"runs/{first.name}/centered.safetensors"
    theirs, ours = first.model.options, second.model.options
    assert all(theirs[name] == ours[name] for name in ("size", "width", "max_width", "latent"))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"kind": "styleswin"}}, "its task is generation"),
        ({"model": {"kind": "unet", "options": {}}, "prior": {"file": "x"}}, "prior is for transmrsr and gfpgan"),
        ({"prior": {"freeze": True}}, "name its file"),
        ({"data": {"size": 32}}, "one size only"),
        ({"model": {"bands": True}}, "twice its own with bands: 32"),
        ({"loss": {"content": 0.5}}, "name the network in loss.features"),
        ({"loss": {"features": {"network": "vgg19", "file": "x"}}}, "leave it out"),
        ({"loss": {"l1": 0}}, "at least one above 0"),
        ({"training": {"start_from": "x"}}, "leave it out"),
        ({"data": {"factor": 1}}, "greater than or equal to 2"),
        ({"data": {"axis": "t"}}, "'x', 'y' or 'z'"),
        ({"model": {"kind": "hinet", "options": {}}, "data": {"size": 72}}, "multiples of 16"),
    ],
)
def test_what_cannot_work_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        superres(**sections)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"kind": "transmrsr", "options": SIZES}}, "expected styleswin"),
        ({"data": {"size": 64}}, "not the generator's size"),
        ({"model": {"bands": True}}, "a generator sees none"),
        ({"training": {"precision": "bf16"}}, "bf16 is for cascades"),
    ],
)
def test_what_generates_nothing_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        generation(**sections)
