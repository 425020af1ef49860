"""Smooth random fields in continuous coordinates: the same field whatever grid it is sampled on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Drift", "SmoothNoise", "spline_weights"]

HALF_EXTENT_MM = 200.0  # beyond this the field continues with its value at the rim
_MEAN_SQUARE = 0.48  # mean over positions of the sum of squared spline weights


def spline_weights(positions: Tensor, knots: int) -> Tensor:
    """Weights of the uniform cubic B-spline.

    Parameters
    ----------
    positions : Tensor
        Where to evaluate, in knot spacings, shape (points,).
    knots : int
        Number of knots, at 0, 1, ..., knots - 1.

    Returns
    -------
    Tensor
        Matrix (points, knots): `weights @ values` is the spline through the control values.
    """
    t = (positions[:, None] - torch.arange(knots, dtype=positions.dtype)).abs()
    near = 2 / 3 - t**2 + t**3 / 2
    far = (2 - t).clamp(min=0) ** 3 / 6
    return torch.where(t < 1, near, far)


@dataclass(frozen=True)
class SmoothNoise:
    """Random field with mean 0 and standard deviation about 1: a cubic B-spline with Gaussian control values.

    Parameters
    ----------
    key : tuple of int
        Seed; equal keys give equal fields.
    wavelength_mm : float
        Typical distance from crest to crest; the knots are half of it apart.
    """

    key: tuple[int, ...]
    wavelength_mm: float

    def plane(self, x_mm: Tensor, y_mm: Tensor, z_mm: float) -> Tensor:
        """Values on the grid of one slice.

        Parameters
        ----------
        x_mm : Tensor
            Column coordinates, shape (columns,).
        y_mm : Tensor
            Row coordinates, shape (rows,).
        z_mm : float
            Position of the slice.

        Returns
        -------
        Tensor
            Field, shape (rows, columns), of the dtype of `x_mm`.
        """
        spacing = self.wavelength_mm / 2
        knots = 2 * int(HALF_EXTENT_MM / spacing) + 5
        z = min(max(z_mm, -HALF_EXTENT_MM), HALF_EXTENT_MM) / spacing + knots // 2
        planes = torch.arange(int(z) - 1, int(z) + 3)
        control = np.stack(
            [np.random.default_rng((*self.key, k)).standard_normal((knots, knots)) for k in planes.tolist()]
        )
        along_z = spline_weights(torch.tensor([z - int(z) + 1.0], dtype=torch.float64), 4)[0]
        lattice = torch.tensordot(along_z, torch.from_numpy(control), dims=1).to(x_mm.dtype)
        rows, columns = (
            spline_weights(c.clamp(-HALF_EXTENT_MM, HALF_EXTENT_MM) / spacing + knots // 2, knots) for c in (y_mm, x_mm)
        )
        field: Tensor = rows @ lattice @ columns.T / _MEAN_SQUARE**1.5
        return field


class Drift:
    """Random numbers of standard deviation about 1 that change smoothly with the position of the slice.

    Parameters
    ----------
    key : tuple of int
        Seed; drifts of equal keys give the same numbers in the same order.
    z_mm : float
        Position of the slice.
    spacing_mm : float
        How far apart two slices are whose numbers have little to do with each other.
    """

    def __init__(self, key: tuple[int, ...], z_mm: float, spacing_mm: float = 11.0) -> None:
        knots = 2 * int(HALF_EXTENT_MM / spacing_mm) + 5
        z = torch.tensor([min(max(z_mm, -HALF_EXTENT_MM), HALF_EXTENT_MM) / spacing_mm + knots // 2])
        self._weights = spline_weights(z.double(), knots)[0].numpy() / _MEAN_SQUARE**0.5
        self._rng = np.random.default_rng(key)

    def __call__(self, count: int) -> np.ndarray:
        """Next numbers, shape (count,)."""
        return np.asarray(self._weights @ self._rng.standard_normal((len(self._weights), count)))
