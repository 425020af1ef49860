from __future__ import annotations

import json
import math

from torch import nn

from kascade.train.card import model_card, render
from tests.train.tiny import TinyData, tiny_recipe


def test_the_card_is_json_and_says_everything() -> None:
    scores = {"psnr": 33.123456, "ssim": 0.95, "loss": math.nan}
    card = model_card(tiny_recipe(), "name: tiny\n", TinyData(), nn.Linear(3, 2), 5, 5400.0, scores)
    assert json.loads(json.dumps(card, allow_nan=False)) == card
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
