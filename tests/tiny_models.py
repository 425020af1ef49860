"""Small untrained models, for tests of what is done with trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kascade.unroll.config import CascadeConfig, PriorConfig, build_cascade
from kascade.unroll.weights import save_model

CARD = {
    "description": "For tests.",
    "licence": "CC0",
    "data": [
        {"kind": "nifti", "folder": "t1w", "licence": "CC0"},
        {"kind": "phantom", "folder": None, "licence": "none needed"},
    ],
    "scores": {"psnr": 30.125, "ssim": 0.9},
    "recipe": "name: tiny\nmodel: {}\n",
    "fits": {"acceleration": [1, 3], "coils": [1, 8]},
}


def save_tiny_model(path: Path, card: dict[str, Any] | None = None, seed: int = 0, **config: Any) -> Path:
    """Two iterations of a network with few and random weights that changes images a little."""
    prior = PriorConfig(name="resunet", options={"channels": 2, "levels": 1, "blocks": 1})
    settings = CascadeConfig(**{"prior": prior, "iterations": 2, **config})
    model = build_cascade(settings)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "network" in name:
                weights.copy_(0.1 * torch.randn(weights.shape, generator=generator))
    save_model(path, model, settings, CARD if card is None else card)
    return path
