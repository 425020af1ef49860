"""Images of a 0.055 T scanner, restored, beside the same head at 3 T: what no simulation degraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.data.degradation import intensity_scale
from kascade.physics.fourier import ifft
from kascade.recon.restoration.restore import restore_slices
from kascade.report.restoration_score import no_reference

__all__ = ["LowField", "restore_low_field"]

PAIRS = {"fse": "t2w", "flair": "flair"}
"""Low-field k-space and the image at 3 T with its contrast."""


@dataclass(frozen=True, eq=False)
class LowField:
    """One contrast: slices (slices, rows, columns), 0 to about 1, as measured, restored by each network, and at 3 T.

    `scores` holds the means over slices of `no_reference` for each method, on the gray scale of the measured image.
    """

    name: str
    measured: Tensor
    restored: Mapping[str, Tensor]
    reference: Tensor
    scores: Mapping[str, Mapping[str, float]]


def restore_low_field(folder: Path, networks: Mapping[str, nn.Module]) -> list[LowField]:
    """Restore what there is in a folder of low-field k-space; thick slices are their own neighbors."""
    found = []
    for name, contrast in PAIRS.items():
        raw, high = folder / f"brain_{name}_0p055T_kspace.npy", folder / f"brain_{contrast}_3T_image.npy"
        if not (raw.is_file() and high.is_file()):
            continue
        images = ifft(torch.from_numpy(np.load(raw, allow_pickle=False))).abs()
        images = images / intensity_scale(images)
        reference = _normalized(np.load(high, allow_pickle=False), images.shape[-2:])
        x = 2 * images[:, None].expand(-1, 3, -1, -1) - 1
        restored = {method: _restore(network, x) for method, network in networks.items()}
        scores = {method: _scores(stack) for method, stack in {"measured": images, **restored}.items()}
        found.append(LowField(f"{name} at 0.055 T", images, restored, reference, scores))
    return found


def _restore(network: nn.Module, x: Tensor) -> Tensor:
    return torch.stack([(restore_slices(network, image[None])[0][0, 1] + 1) / 2 for image in x]).clamp(min=0)


def _normalized(image: NDArray[np.float32], shape: torch.Size) -> Tensor:
    stack = torch.from_numpy(np.ascontiguousarray(image)).float()
    resized = F.interpolate(stack[:, None], size=tuple(shape), mode="area")[:, 0]
    return resized / intensity_scale(resized)


def _scores(stack: Tensor) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in no_reference(stack.numpy(), 1.0).items()}
