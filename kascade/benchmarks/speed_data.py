"""The data of the speed benchmark: an undersampled scan of the head phantom, simulated with the built-in coils."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from kascade.benchmarks.speed_task import ACCELERATION, ACS
from kascade.data.masks import uniform_mask
from kascade.data.simulation.coils import loop_coil_maps
from kascade.data.simulation.phantom import head_phantom
from kascade.physics import Encoding

__all__ = ["write_inputs"]

NOISE = 0.01  # relative to the largest pixel


def write_inputs(folder: Path, coils: int, rows: int, columns: int) -> None:
    """Write the arrays that `Inputs` reads.

    Parameters
    ----------
    folder : Path
        An existing folder.
    coils, rows, columns : int
        Size of k-space.
    """
    generator = torch.Generator().manual_seed(0)
    maps = loop_coil_maps((rows, columns), coils)
    phase = torch.linspace(-1, 1, rows)[:, None] + torch.linspace(0, 2, columns).square()
    image = torch.polar(head_phantom((rows, columns)), math.pi * phase)
    image /= image.abs().max()
    mask_columns = uniform_mask(columns, ACCELERATION, min(ACS, columns))
    mask_2d = (torch.rand(rows, columns, generator=generator) < 1 / ACCELERATION).to(torch.float32)
    kspace = Encoding(maps, mask_columns)(image)
    kspace += NOISE * mask_columns * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    arrays = {"image": image, "maps": maps, "kspace": kspace, "mask_columns": mask_columns, "mask_2d": mask_2d}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.numpy())
