"""Shape of a random head in millimeters: hull, fissure, nuclei and ventricles as signed distances, negative inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kascade.data.simulation.smooth import SmoothNoise

__all__ = ["Head", "Plane", "ellipsoid", "tube"]


@dataclass(frozen=True)
class Plane:
    """Points of one slice in the frame of a head: x to its left ear (right in the image), y to its nose, z upward.

    Attributes
    ----------
    x, y : Tensor
        Coordinates in mm, shape (rows, columns).
    z : float
        Height above the basal ganglia in mm.
    """

    x: Tensor
    y: Tensor
    z: float

    def window(self, rows: slice, columns: slice) -> Plane:
        """Part of the plane."""
        return Plane(self.x[rows, columns], self.y[rows, columns], self.z)

    def displaced(self, dx: Tensor, dy: Tensor) -> Plane:
        """Plane with every point moved by (dx, dy) in mm."""
        return Plane(self.x + dx, self.y + dy, self.z)

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        bounds = self.x.amin(0), self.x.amax(0), self.y.amin(1), self.y.amax(1)
        return tuple(b.numpy() for b in bounds)  # type: ignore[return-value]

    def box(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, slice] | None:
        """Rows and columns that hold all points between the corners (x, y) `low` and `high`; None if there are none."""
        x_min, x_max, y_min, y_max = self._bounds
        columns = np.flatnonzero((x_max > low[0]) & (x_min < high[0]))
        rows = np.flatnonzero((y_max > low[1]) & (y_min < high[1]))
        if not len(rows) or not len(columns):
            return None
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def ellipsoid(
    p: Plane, center: tuple[float, float, float], axes: tuple[float, float, float], turn_deg: float
) -> Tensor:
    """Distance (first order) to an ellipsoid turned about z by `turn_deg`, counterclockwise seen from above."""
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    dx, dy, dz = p.x - center[0], p.y - center[1], p.z - center[2]
    u, v, w = (c * dx + s * dy) / axes[0], (c * dy - s * dx) / axes[1], dz / axes[2]
    radius = (u**2 + v**2 + w**2).sqrt()
    slope = ((u / axes[0]) ** 2 + (v / axes[1]) ** 2 + (w / axes[2]) ** 2).sqrt()
    step = torch.where(radius > 1e-6, radius / slope.clamp(min=1e-9), min(axes))  # the center has no slope
    distance: Tensor = (radius - 1) * step
    return distance


def tube(p: Plane, points: np.ndarray, radii: np.ndarray, flatten: float = 1.0) -> Tensor:
    """Distance to a tube around a polyline.

    Parameters
    ----------
    p : Plane
        Where.
    points : ndarray
        Corners (corners, 3) in mm.
    radii : ndarray
        Radius at each corner, in mm.
    flatten : float
        The tube is this much narrower along x than along y and z.
    """
    best = torch.full_like(p.x, 1e3)
    for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        ab = b - a
        px, py, pz = p.x - a[0], p.y - a[1], p.z - a[2]
        t = ((px * ab[0] + py * ab[1] + pz * ab[2]) / float(ab @ ab)).clamp(0, 1)
        dx, dy, dz = (px - t * ab[0]) * flatten, py - t * ab[1], pz - t * ab[2]
        best = torch.minimum(best, (dx**2 + dy**2 + dz**2).sqrt() - (ra + t * (rb - ra)))
    return best


@dataclass(frozen=True)
class Head:
    """Sizes of one head, drawn by `Head.random`; lengths in mm."""

    seed: int
    half_width: float  # of the brain
    half_length: float
    half_height: float
    egg: float  # how much the front is narrower than the back
    boxiness: float  # exponent of the superellipse
    skew: tuple[float, float]  # third and fourth harmonic of the outline
    turn_deg: float
    shift: tuple[float, float]
    csf: float  # thickness of each layer around the brain
    bone: float
    marrow: float
    fat: float
    skin: float
    atrophy: float  # 0: young, tight sulci and slim ventricles; 1: wide
    asymmetry: float

    @staticmethod
    def random(seed: int) -> Head:
        """Draw a head; equal seeds give equal heads."""
        rng = np.random.default_rng((seed, 1))
        size = rng.normal(1, 0.03)
        return Head(
            seed=seed,
            half_width=66 * size * rng.normal(1, 0.02),
            half_length=84 * size * rng.normal(1, 0.02),
            half_height=72 * size,
            egg=rng.uniform(0.0, 0.05),
            boxiness=rng.uniform(2.15, 2.45),
            skew=(rng.normal(0, 0.004), rng.normal(0, 0.005)),
            turn_deg=rng.normal(0, 2.5),
            shift=(rng.normal(0, 2), rng.normal(0, 2)),
            csf=rng.uniform(1.2, 2.2),
            bone=rng.uniform(1.3, 1.9),
            marrow=rng.uniform(1.6, 3.6),
            fat=rng.uniform(2.5, 5.0),
            skin=rng.uniform(1.4, 2.0),
            atrophy=rng.beta(1.5, 2.5),
            asymmetry=rng.normal(0, 1),
        )

    def plane(self, x_mm: Tensor, y_mm: Tensor, z_mm: float) -> Plane:
        """Slice of scanner coordinates (y up, z along the bore) in the frame of this head, shape (rows, columns)."""
        c, s = np.cos(np.deg2rad(self.turn_deg)), np.sin(np.deg2rad(self.turn_deg))
        dx, dy = x_mm[None, :] - self.shift[0], y_mm[:, None] - self.shift[1]
        return Plane(c * dx + s * dy, c * dy - s * dx, z_mm)

    def noise(self, field: int, wavelength_mm: float) -> SmoothNoise:
        """The head's random field number `field`."""
        return SmoothNoise((self.seed, 2, field), wavelength_mm)

    def level(self, z: float) -> tuple[float, float]:
        """Size of the brain's section at height z relative to the largest, and its derivative in 1/mm."""
        q, u = 2.3, abs(z - 4) / self.half_height
        scale = max(1 - u**q, 0.05) ** (1 / q)
        return scale, -float(np.sign(z - 4)) * (u / scale) ** (q - 1) / self.half_height

    def radius(self, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Outline of the brain's largest section and its derivative with the angle, both in mm, from the direction."""
        p = self.boxiness
        a, b = cos.abs() / self.half_width, sin.abs() / self.half_length
        g = a**p + b**p
        dg = p * (
            -(a ** (p - 1)) * cos.sign() * sin / self.half_width + b ** (p - 1) * sin.sign() * cos / self.half_length
        )
        base = g ** (-1 / p)
        dbase = -base / (p * g) * dg
        egg, three, four = -self.egg * cos**2, self.skew[0], self.skew[1]
        factor = 1 + egg * sin + three * (4 * cos**3 - 3 * cos) + four * 4 * sin * cos * (cos**2 - sin**2)
        dfactor = (
            self.egg * (2 * cos * sin**2 - cos**3)
            + three * (3 * sin - 12 * cos**2 * sin)
            + four * 4 * ((cos**2 - sin**2) ** 2 - 4 * sin**2 * cos**2)
        )
        return base * factor, dbase * factor + base * dfactor

    def hull(self, p: Plane) -> Tensor:
        """Distance to the smooth hull of the brain, exact to first order."""
        r = (p.x**2 + p.y**2).sqrt().clamp(min=1e-3)
        outline, slope = self.radius(p.x / r, p.y / r)
        scale, dscale = self.level(p.z)
        return (r - outline * scale) / (1 + (slope / outline) ** 2 + (outline * dscale) ** 2).sqrt()

    def outline(self, angle_rad: np.ndarray, z: float) -> np.ndarray:
        """Points (angles, 2) on the hull at height z."""
        cos, sin = torch.from_numpy(np.cos(angle_rad)), torch.from_numpy(np.sin(angle_rad))
        r = self.radius(cos, sin)[0] * self.level(z)[0]
        return torch.stack([r * cos, r * sin], dim=-1).numpy()

    @property
    def scale(self) -> float:
        """Width relative to the average head."""
        return self.half_width / 66

    @property
    def scalp(self) -> float:
        """From the hull of the brain to the middle of the fat under the skin, in mm."""
        return self.csf * (1 + 0.5 * self.atrophy) + 2 * self.bone + self.marrow + self.fat / 2

    def poles(self, z: float) -> tuple[float, float]:
        """Foremost and hindmost y of the hull at height z."""
        front, back = self.outline(np.array([np.pi / 2, -np.pi / 2]), z)[:, 1]
        return float(front), float(back)

    def callosum(self, z: float) -> tuple[float, float] | None:
        """Where the corpus callosum ends the interhemispheric fissure, (front, back) as y in mm; None above it."""
        u = (z - 0.0) / 28
        if abs(u) >= 1:
            return None
        reach = self.half_length * 0.46 * (1 - abs(u) ** 2.5) ** (1 / 2.5)
        return -3 + reach, -3 - reach * 1.02
