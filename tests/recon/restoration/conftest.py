"""Small networks of restoration with random weights, in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kascade.recon.restoration import RestorationConfig, build_network, save_restorer

SIZES: dict[str, dict[str, Any]] = {
    "classifier": {"width": 8, "blocks": [1, 1, 1, 1], "heads": [1, 2, 2, 4]},
    "restormer": {"width": 8, "blocks": [1, 1, 1, 1], "heads": [1, 2, 2, 4], "refinement": 1},
    "cag": {"width": 8, "blocks": [1, 1, 1, 1], "heads": [1, 2, 2, 4], "refinement": 1},
    "hinet": {"width": 4, "levels": 2},
    "pix2pix": {"width": 4, "levels": 3},
    "srgan": {"width": 4, "blocks": 1},
    "resvit": {"width": 4, "blocks": 2, "tokens": 8, "layers": 1, "heads": 2, "grid": 4},
}
CARD = {"description": "tiny", "licence": "CC0", "hours": 0.0, "steps": 1, "fits": {"spacing_mm": [1.0, 3.0]}}


def save_small(path: Path, kind: str = "cag", seed: int = 0, **options: Any) -> Path:
    """Write a small network."""
    config = RestorationConfig(kind=kind, options={**SIZES[kind], **options})  # type: ignore[arg-type]
    torch.manual_seed(seed)
    save_restorer(path, build_network(config), config, CARD)
    return path
