from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from torch import nn

from kascade.train.card import model_card, render
from kascade.train.start import start_facts
from kascade.unroll import build_cascade
from kascade.unroll.weights import save_model
from tests.train.tiny import TinyData, tiny_recipe


def test_the_card_is_json_and_says_everything() -> None:
    scores = {"psnr": 33.123456, "ssim": 0.95, "loss": math.nan}
    card = model_card(tiny_recipe(), "name: tiny\n", TinyData(), nn.Linear(3, 2), 5, 5400.0, scores)
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["fits"] == {"acceleration": [1.5, 3.0]}
    assert card["scores"] == {"psnr": 33.1235, "ssim": 0.95}
    text = render(card)
    for part in (
        "# tiny",
        "CC0",
        "parameters: 8",
        "5 of 7 steps of 2 examples",
        "1.50 h",
        "psnr 33.12",
        "```yaml\nname: tiny\n```",
    ):
        assert part in text


def started(path: Path, hours: float, **more: Any) -> dict[str, Any]:
    """Facts of a model that is saved with a card."""
    recipe = tiny_recipe()
    save_model(path, build_cascade(recipe.model), recipe.model, {"steps": 9, "hours": hours, **more})
    return start_facts(str(path))


def test_the_card_says_what_a_model_started_from(tmp_path: Path) -> None:
    first = started(tmp_path / "first.safetensors", 0.25, name="first", recipe="name: first\n")
    second = started(tmp_path / "second.safetensors", 0.75, name="second", recipe="name: second\n", start=first)
    card = model_card(tiny_recipe(), "name: tiny\n", TinyData(), nn.Linear(3, 2), 5, 3600.0, {}, second)
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["hours"] == 1.75
    assert card["start"]["steps"] == 9
    text = render(card)
    for name in ("second", "first"):
        assert hashlib.sha256((tmp_path / f"{name}.safetensors").read_bytes()).hexdigest() in text
        assert f"## Recipe of {name}\n\n```yaml\nname: {name}\n```" in text
    assert "the networks of second (9 steps; 0.75 of the hours)" in text


def test_a_start_whose_card_says_nothing_is_named_unknown(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    save_model(tmp_path / "a.safetensors", build_cascade(recipe.model), recipe.model, {})
    facts = start_facts(str(tmp_path / "a.safetensors"))
    card = model_card(recipe, "name: tiny\n", TinyData(), nn.Linear(3, 2), 5, 3600.0, {}, facts)
    assert card["hours"] == 1
    assert "? steps; hours unknown" in render(card)
