"""A training that takes a second: a cascade of 2 iterations with 2 channels, on images of 24 x 24 of random blocks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.utils.data import Dataset

from kascade.physics import Encoding, fft
from kascade.train.examples import Example
from kascade.train.recipe import Recipe

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "description": "for tests",
    "licence": "CC0",
    "data": {"sources": [{"kind": "phantom"}]},
    "model": {"iterations": 2, "prior": {"name": "unet", "options": {"channels": 2, "levels": 1}}},
    "training": {"steps": 7, "batch": 2, "validate_every": 3, "warm_up": 2, "ema": 0.9},
}


def tiny_recipe(**sections: Any) -> Recipe:
    """RECIPE with some keys of some sections changed: ``tiny_recipe(training={"steps": 3})``."""
    content = copy.deepcopy(RECIPE)
    for name, value in sections.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    return Recipe.model_validate(content)


def example(seed: int, columns: int = 24, coils: int = 2) -> Example:
    """Blocks of random brightness and phase, smooth coils, every third column and 6 central ones, noise."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randn(2, 6, columns // 4, generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    image = torch.complex(blocks[0], blocks[1])
    ramp = torch.linspace(0.2, 1.0, columns).expand(24, columns)
    maps = torch.stack([ramp, ramp.flip(-1), *(ramp.roll(n, -1) for n in range(2, coils))]).to(torch.complex64)
    maps = maps / maps.abs().square().sum(0).sqrt()
    mask = torch.zeros(columns)
    mask[::3] = mask[columns // 2 - 3 : columns // 2 + 3] = 1
    noise = 0.2 * torch.randn(coils, 24, columns, generator=generator, dtype=torch.complex64)
    return Example(mask * (fft(maps * image) + noise), maps, mask, image)


class TinyExamples(Dataset[Example]):
    """Examples of two widths in turn."""

    def __init__(self, first: int, size: int) -> None:
        self.first, self.size = first, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Example:
        assert 0 <= index < self.size
        return example(self.first + index, 24 if index % 3 else 28)


class TinyData:
    """What `TrainingData` is to a training."""

    files = (([], []),)
    fits = {"acceleration": [1.5, 3.0]}  # noqa: RUF012

    def train(self, epoch: int, size: int) -> TinyExamples:
        return TinyExamples(1000 * (epoch + 1), size)

    def validation(self) -> TinyExamples:
        return TinyExamples(0, 4)


def encoding(drawn: Example) -> Encoding:
    """E of one example, without a batch axis."""
    return Encoding(drawn.maps, drawn.mask)
