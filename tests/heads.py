"""Small NIfTI heads: ellipsoids with ventricles and texture, zero outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

AFFINE = np.array([[-2.0, 0, 0, 40], [0, 2.0, 0, -30], [0, 0, 2.5, -10], [0, 0, 0, 1]])  # left, anterior, superior


def head_array(shape: tuple[int, int, int] = (40, 48, 12), seed: int = 0) -> NDArray[np.float32]:
    """Magnitudes about 1000, exactly 0 outside."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (x / 0.75) ** 2 + (y / 0.8) ** 2 + (z / 1.4) ** 2 < 1
    hole = (x - 0.15) ** 2 + (y + 0.1) ** 2 < 0.02
    texture = 1 + 0.2 * np.sin(9 * x + seed) * np.cos(11 * y) + 0.02 * rng.standard_normal(shape)
    return (1000 * inside * (1 - 0.6 * hole) * texture).astype(np.float32)


def write_head(
    path: Path, array: NDArray[Any] | None = None, affine: NDArray[Any] | None = AFFINE, **more: Any
) -> Path:
    """Write a head, or another array, as NIfTI; keys of the header may be given."""
    image = nib.Nifti1Image(head_array() if array is None else array, affine)
    for name, value in more.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def head_slices(count: int = 3, seed: int = 0) -> Tensor:
    """Slices (count, 48, 40), bright tissue at about 1."""
    middle = head_array((40, 48, count + 8), seed)[:, :, 4 : 4 + count]
    return torch.from_numpy(np.ascontiguousarray(middle.transpose(2, 1, 0))) / 1000
