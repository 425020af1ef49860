"""Trainings of a second: volumes of 40 x 48 x 12, networks with 4 to 8 channels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from kascade.train.restoration.recipe import RestorationRecipe
from tests.heads import head_array, write_head
from tests.recon.restoration.conftest import SIZES

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "task": "restoration",
    "licence": "CC0",
    "data": {
        "sources": [
            {"kind": "nifti", "folder": "heads", "validation": ["h2"], "test": ["h3"], "licence": "CC0"},
        ],
        "matrix": [48, 40],
        "slices": 8,
        "patch": [32, 32],
        "validation_examples": 4,
    },
    "model": {"kind": "restormer", "options": SIZES["restormer"]},
    "training": {"steps": 4, "batch": 2, "validate_every": 2, "warm_up": 1, "ema": 0.0, "learning_rate": 1e-3},
}


def tiny_recipe(kind: str = "restormer", **sections: Any) -> RestorationRecipe:
    """RECIPE with another model and some keys of some sections changed."""
    content = copy.deepcopy(RECIPE)
    content["model"] = {"kind": kind, "options": dict(SIZES[kind])}
    for name, value in sections.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    return RestorationRecipe.model_validate(content)


def write_heads(folder: Path, count: int = 4) -> Path:
    """Data folder of a recipe: heads h0, h1, ..., the third for validation and the fourth for tests."""
    (folder / "heads").mkdir(parents=True)
    for number in range(count):
        write_head(folder / "heads" / f"h{number}.nii.gz", head_array(seed=number))
    return folder
