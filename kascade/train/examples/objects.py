"""Objects to scan: slices of volumes and of the phantom, turned, cut and colored at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from kascade.data.nifti import read_volume
from kascade.data.simulation.phantom import SLICE_RANGE_MM, head_phantom
from kascade.errors import ConfigError

__all__ = ["Slice", "Volume", "phantom_slice", "recolor", "resample", "smooth_field", "with_scalp"]

AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
LEAST_CONTENT = 0.08  # of a slice's pixels must be bright, else another slice is drawn
SUPPORT = 0.08  # of the bright pixels: what is brighter belongs to the object


@dataclass(frozen=True)
class Slice:
    """Magnitude image (rows, columns), bright pixels about 1, and its pixel size (along rows, along columns)."""

    image: Tensor
    spacing_mm: tuple[float, float]


class Volume:
    """A NIfTI volume in memory, float16, cut to the object; slices are drawn from it.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    ConfigError
        If the volume is all zero.
    """

    def __init__(self, path: Path, orientations: tuple[str, ...]) -> None:
        volume = read_volume(path)
        data = volume.data.clamp(min=0).float()
        bright = float(torch.quantile(data[data > 0][:: max(1, data.numel() // 500_000)], 0.98)) if data.any() else 0.0
        if bright == 0:
            raise ConfigError(f"{path}: every voxel is 0; take the file out of the training data")
        data /= bright
        self.data = data[_bounds(data)].half()
        self.path, self.spacing_mm, self.orientations = path, volume.spacing_mm, orientations

    def draw(self, rng: np.random.Generator) -> Slice:
        """Draw a slice that shows something."""
        order = AXES[str(rng.choice(self.orientations))]
        stack = self.data.permute(order)
        for _ in range(20):
            image = stack[rng.integers(len(stack))].float()
            if float((image > SUPPORT).float().mean()) > LEAST_CONTENT:
                break
        return Slice(image.flip(0, 1), (self.spacing_mm[order[1]], self.spacing_mm[order[2]]))


def phantom_slice(rng: np.random.Generator) -> Slice:
    """Slice of a new phantom head, with one of its contrasts or a random one."""
    contrast = str(rng.choice(["t1", "t2", "flair", "random", "random"]))
    image = head_phantom(
        (240, 200),
        slice_position_mm=rng.uniform(*SLICE_RANGE_MM),
        contrast=contrast,
        seed=int(rng.integers(2**31)),
        fov_mm=(240.0, 200.0),
    )
    image = image / image[image > 0].quantile(0.98)
    return Slice(image[_bounds(image)], (1.0, 1.0))


def _bounds(image: Tensor) -> tuple[slice, ...]:
    """Box around what is bright, with a little air."""
    found = ndimage.find_objects((image > SUPPORT).int().numpy())[0]
    return tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in found)


def with_scalp(drawn: Slice, rng: np.random.Generator) -> Slice:
    """Put fluid, skull and scalp around a brain whose background is exactly 0."""
    room = [math.ceil(24 / d) for d in drawn.spacing_mm]
    image = F.pad(drawn.image, (room[1], room[1], room[0], room[0]))
    brain = ndimage.binary_closing(image.numpy() > 0, iterations=4)
    brain = ndimage.binary_fill_holes(brain)
    distance = torch.from_numpy(ndimage.distance_transform_edt(~brain, sampling=drawn.spacing_mm)).float()
    distance = distance * (1 + 0.15 * smooth_field(image.shape, 8, rng))
    fluid, skull, scalp = np.cumsum(rng.uniform((0.5, 2.5, 2.5), (3.5, 7.0, 9.0))).tolist()
    levels = rng.uniform((0.05, 0.02, 0.4), (0.9, 0.2, 2.2)).tolist()
    layers = torch.zeros_like(image)
    for outer, level in reversed(list(zip((fluid, skull, scalp), levels, strict=True))):
        layers = torch.where(distance < outer, torch.tensor(level), layers)
    marrow = (distance > fluid + 0.35 * (skull - fluid)) & (distance < fluid + 0.7 * (skull - fluid))
    layers = torch.where(marrow, torch.tensor(rng.uniform(0.05, 0.8)), layers)
    texture = (1 + 0.2 * smooth_field(image.shape, 12, rng) + 0.15 * smooth_field(image.shape, 60, rng)).clamp(min=0)
    return Slice(torch.where(torch.from_numpy(brain), image, layers * texture), drawn.spacing_mm)


def recolor(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Another contrast: a gamma curve or, for one image in three, dark for bright; 0 stays 0."""
    gamma = math.exp(rng.uniform(-0.6, 0.6))
    if rng.uniform() < 1 / 3:
        inside = (image / SUPPORT).clamp(0, 1)
        return inside * (rng.uniform(1.05, 1.4) - image).clamp(min=0.02) ** gamma
    return image**gamma


def resample(drawn: Slice, fov_mm: tuple[float, float], shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Slice, turned, flipped and shifted at random, on a grid of `shape` over the field of view.

    Returns
    -------
    Tensor
        float32, of `shape`; 0 outside the slice.
    """
    turn = math.radians(rng.normal(0, 12))
    flips = rng.choice([-1.0, 1.0], 2)
    shift = rng.uniform(-0.06, 0.06, 2)
    rows, columns = drawn.image.shape
    extent = (rows * drawn.spacing_mm[0], columns * drawn.spacing_mm[1])
    # Output coordinates in [-1, 1] -> millimeters -> turned -> input coordinates in [-1, 1], x before y.
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = np.diag(1 / np.array(extent[::-1])) @ rotation @ np.diag(np.array(fov_mm[::-1]) * flips)
    theta = torch.from_numpy(np.concatenate((matrix, shift[:, None]), axis=1)).float()
    grid = F.affine_grid(theta[None], [1, 1, *shape], align_corners=False)
    return F.grid_sample(drawn.image[None, None], grid, mode="bicubic", align_corners=False)[0, 0].clamp(min=0)


def smooth_field(shape: torch.Size | tuple[int, ...], cells: int, rng: np.random.Generator) -> Tensor:
    """Random field with mean 0 and standard deviation about 1 that varies over an image's length / `cells`."""
    knots = torch.from_numpy(rng.standard_normal((1, 1, cells + 3, cells + 3))).float()
    return F.interpolate(knots, size=tuple(shape), mode="bicubic", align_corners=True)[0, 0] * 1.3
