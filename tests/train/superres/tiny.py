"""Trainings of a second: heads of 40 x 48 x 12 in images of 16 x 16, networks with 8 channels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from kascade.train.superres.recipe import GenerationRecipe, SuperResolutionRecipe
from tests.heads import head_array, write_head

SIZES: dict[str, Any] = {"size": 16, "width": 8, "max_width": 8, "latent": 8}
SOURCE = {"kind": "nifti", "folder": "heads", "validation": ["h2"], "test": ["h3"], "licence": "CC0"}
TRAINING = {"steps": 4, "batch": 2, "validate_every": 2, "warm_up": 1, "learning_rate": 1e-3}
GENERATION: dict[str, Any] = {
    "name": "tiny-generator",
    "task": "generation",
    "licence": "CC0",
    "data": {"sources": [SOURCE], "size": 16, "validation_examples": 4},
    "model": {"kind": "styleswin", "options": {**SIZES, "mapping_layers": 2}},
    "discriminator": {"width": 8, "max_width": 8, "group": 2},
    "loss": {"r1_every": 2},
    "training": {**TRAINING, "ema": 0.9},
}
SUPERRES: dict[str, Any] = {
    "name": "tiny-superres",
    "task": "super-resolution",
    "licence": "CC0",
    "data": {"sources": [SOURCE], "factor": 3, "size": 16, "validation_examples": 3},
    "model": {"kind": "transmrsr", "options": SIZES},
    "training": {**TRAINING, "ema": 0.0},
}


def changed(content: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """Recipe with some keys of some sections changed."""
    content = copy.deepcopy(content)
    for name, value in sections.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    return content


def generation(**sections: Any) -> GenerationRecipe:
    return GenerationRecipe.model_validate(changed(GENERATION, sections))


def superres(**sections: Any) -> SuperResolutionRecipe:
    return SuperResolutionRecipe.model_validate(changed(SUPERRES, sections))


def write_heads(folder: Path, count: int = 4) -> Path:
    """Data folder of a recipe: heads h0, h1, ..., the third for validation and the fourth for tests."""
    (folder / "heads").mkdir(parents=True)
    for number in range(count):
        write_head(folder / "heads" / f"h{number}.nii.gz", head_array(seed=number))
    return folder
