"""Which tissue is where in one slice of a random head: layers painted over one another, edges anti-aliased."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kascade.data.simulation.anatomy import Head, Plane, ellipsoid, tube
from kascade.data.simulation.folds import carve, fissures, sulci
from kascade.data.simulation.smooth import Drift

__all__ = ["TISSUES", "tissue_fractions"]

TISSUES = (
    "skin", "fat", "muscle", "bone", "marrow", "dura", "csf",
    "gray", "white", "nuclei", "pallidum", "thalamus", "vessel",
)  # fmt: skip

SHARP_MM, SOFT_MM = 0.5, 1.0  # least width of an edge, at surfaces and between kinds of tissue


def tissue_fractions(head: Head, x_mm: Tensor, y_mm: Tensor, z_mm: float) -> Tensor:
    """Share of each tissue in each pixel.

    Parameters
    ----------
    head : Head
        The head.
    x_mm, y_mm : Tensor
        Column and row coordinates, shapes (columns,) and (rows,), x to the right and y to the nose.
    z_mm : float
        Position of the slice.

    Returns
    -------
    Tensor
        float32, shape (tissue, rows, columns), in the order of `TISSUES`; the sum is 1 in the head and 0 outside.
    """
    pixel = max(float((c[1] - c[0]).abs()) if len(c) > 1 else 0.0 for c in (x_mm, y_mm))
    plane = head.plane(x_mm, y_mm, z_mm)
    fields = _Fields(head, x_mm, y_mm, z_mm)
    canvas = _Canvas(torch.zeros(len(TISSUES), *plane.x.shape), max(pixel, SHARP_MM), max(pixel, SOFT_MM))
    hull = head.hull(plane)
    _shell(canvas, head, plane, hull, fields)
    shift = [1.1 * fields(4 + k, 28) + 0.45 * fields(6 + k, 11) for k in (0, 1)]
    depth = _cortex(canvas, head, plane.displaced(*shift), fields)
    inner = plane.box((-50, -68), (50, 52))
    if inner is not None:
        deep = plane.displaced(0.4 * shift[0], 0.4 * shift[1]).window(*inner)
        _midbrain(canvas.window(*inner), head, deep, canvas.inside(-depth[inner]))
        _ventricles(canvas.window(*inner), head, deep)
    _falx(canvas, head, plane, hull)
    _vessels(canvas, head, plane)
    return canvas.fractions


@dataclass(frozen=True)
class _Fields:
    """Random fields of a head on the grid of one slice."""

    head: Head
    x: Tensor
    y: Tensor
    z: float

    def __call__(self, number: int, wavelength_mm: float) -> Tensor:
        return self.head.noise(number, wavelength_mm).plane(self.x, self.y, self.z)


@dataclass(frozen=True)
class _Canvas:
    """Tissue fractions (tissue, rows, columns) that are painted over in place."""

    fractions: Tensor
    sharp: float
    soft: float
    painted: list[int] = field(default_factory=list)  # other tissues are still 0

    def window(self, rows: slice, columns: slice) -> _Canvas:
        return _Canvas(self.fractions[:, rows, columns], self.sharp, self.soft, self.painted)

    def inside(self, distance: Tensor, width: float | None = None) -> Tensor:
        """Coverage of a pixel whose center is at this signed distance from an edge."""
        return (0.5 - distance / (width or self.sharp)).clamp_(0, 1)

    def paint(self, tissue: str, coverage: Tensor) -> None:
        rest = 1 - coverage
        for other in self.painted:
            self.fractions[other] *= rest
        index = TISSUES.index(tissue)
        self.fractions[index] += coverage
        if index not in self.painted:
            self.painted.append(index)


def _shell(canvas: _Canvas, head: Head, p: Plane, hull: Tensor, fields: _Fields) -> None:
    """Paint skin, fat, muscle, bone, marrow and the fluid around the brain."""
    temple = p.x**2 / (p.x**2 + p.y**2).clamp(min=1)
    nape = torch.sigmoid(-p.y / 15)
    low = 1 / (1 + np.exp((p.z - 25) / 6))
    muscle = 2.6 * temple * torch.exp(-(((p.y - 22) / 32) ** 2)) * np.exp(-(((p.z + 8) / 24) ** 2))
    fluid = (head.csf * (1 + 0.5 * head.atrophy) * (1 + 0.2 * fields(0, 50))).clamp(min=0.6)
    diploe = (head.marrow * (1 + 0.2 * fields(1, 45)) * (1 - 0.65 * low * temple)).clamp(min=0.2)
    fat = (head.fat * (1 + 0.1 * fields(2, 70)) * (1 + 0.3 * nape * (1 - temple))).clamp(min=0.8)
    inner_table = hull - fluid - head.bone * (1 + 0.12 * fields(3, 30))
    outer_table = inner_table - diploe - head.bone
    surfaces = (
        ("skin", outer_table - muscle - fat - head.skin),
        ("fat", outer_table - muscle - fat),
        ("muscle", outer_table - muscle),
        ("bone", outer_table),
        ("marrow", inner_table - diploe),
        ("bone", inner_table),
        ("csf", hull - fluid),
    )
    for tissue, distance in surfaces:
        canvas.paint(tissue, canvas.inside(distance))


def _cortex(canvas: _Canvas, head: Head, p: Plane, fields: _Fields) -> Tensor:
    """Paint the folded ribbon of gray matter and the white matter within; return the depth below the pial surface."""
    depth = carve(-head.hull(p), p, fissures(head, p.z) + sulci(head, p.z))
    thickness = 2.9 + 0.3 * fields(8, 16)
    canvas.paint("gray", canvas.inside(-depth))
    canvas.paint("white", canvas.inside(thickness - depth, canvas.soft))
    return depth


def _midbrain(canvas: _Canvas, head: Head, p: Plane, brain: Tensor) -> None:
    """Paint the corpus callosum, putamen, pallidum, claustrum and thalamus."""
    callosum = head.callosum(p.z)
    if callosum is not None:
        for y, out in ((callosum[0] - 4, 6), (callosum[1] + 4, -6)):
            arch = np.array([[-20, y + out, p.z], [-8, y, p.z], [8, y, p.z], [20, y + out, p.z]])
            canvas.paint("white", canvas.inside(tube(p, arch, np.array([3.0, 4.5, 4.5, 3.0])), canvas.soft) * brain)
    for side in (-1, 1):
        capsule = _nucleus(head, p, side, (25.6, 4, 2), (7.6, 18.5, 14), 10).abs() - 0.4
        lateral = torch.maximum(26 * head.scale - side * p.x - 0.16 * (p.y - 4), (p.y - 4).abs() - 13)
        canvas.paint("nuclei", 0.8 * canvas.inside(torch.maximum(capsule, lateral), canvas.soft) * brain)
        for tissue, center, axes, turn_deg in (
            ("nuclei", (25, 4, 2), (5.0, 16.5, 12), 10),
            ("pallidum", (19.3, -1, -1), (4.4, 10, 9), 16),
            ("thalamus", (10.6, -12, 4), (8.2, 14, 11), 18),
        ):
            canvas.paint(tissue, canvas.inside(_nucleus(head, p, side, center, axes, turn_deg), 1.4 * canvas.soft))


def _nucleus(
    head: Head,
    p: Plane,
    side: int,
    center: tuple[float, float, float],
    axes: tuple[float, float, float],
    turn_deg: float,
) -> Tensor:
    """Distance to an ellipsoid given for the side of positive x, scaled to the head."""
    x, y, z = center
    return ellipsoid(p, (side * x * head.scale, y * head.scale, z), axes, side * turn_deg)


def _ventricles(canvas: _Canvas, head: Head, p: Plane) -> None:
    """Paint the third and the lateral ventricles, then the caudate nuclei and the plexus that bulge into them."""
    wide = 0.75 + 0.6 * head.atrophy
    fluid = ellipsoid(p, (0, -6, -3), (1.1 + 1.8 * head.atrophy, 12, 12), 0)
    fluid = torch.minimum(fluid, ellipsoid(p, (0, -29, -8), (9, 5, 9), 0))
    for side in (-1, 1):
        k = wide * (1 + 0.04 * side * head.asymmetry)
        mirror = np.array([side, 1, 1])
        body = mirror * np.array([[6.0, 14, 15], [8.5, 2, 21], [10, -12, 22], [15, -27, 17]])
        back = mirror * np.array([[25.0, -43, 3], [27, -60, 1]])
        for cavity in (
            _nucleus(head, p, side, (8.6, 19, 7), (3.6 * k, 12.5, 12), -24),
            _nucleus(head, p, side, (20, -36, 6), (3.2 * k, 12.5, 12), 38),
            tube(p, body, np.array([3.5, 4.5, 4.8, 4.8]) * k, 1.4),
            tube(p, back, np.array([3.0, 0.8]) * k),
        ):
            fluid = torch.minimum(fluid, torch.maximum(cavity, 0.5 - side * p.x))
    canvas.paint("csf", canvas.inside(fluid))
    for side in (-1, 1):
        tail = np.array([[side * 15.5, 6, 18], [side * 19.0, -15, 23]])
        caudate = torch.minimum(
            _nucleus(head, p, side, (14.0, 17, 5), (4.8, 10.5, 12), -22), tube(p, tail, np.array([3.5, 2.0]))
        )
        canvas.paint("nuclei", canvas.inside(caudate, canvas.soft))
        plexus = _nucleus(head, p, side, (19.5, -36, 5), (1.5 * wide, 5, 7), 38)
        canvas.paint("nuclei", 0.7 * canvas.inside(plexus, canvas.soft))


def _falx(canvas: _Canvas, head: Head, p: Plane, hull: Tensor) -> None:
    """Paint the falx in the interhemispheric fissure and the sagittal sinus at its ends."""
    callosum = head.callosum(p.z)
    sheet = torch.maximum(p.x.abs() - 0.4, hull - 1)
    if callosum is not None:
        sheet = torch.maximum(sheet, torch.where(p.y > 0, callosum[0] + 14 - p.y, p.y - callosum[1] + 2))
    canvas.paint("dura", canvas.inside(sheet))
    front, back = head.poles(p.z)
    for y, axes in ((front, (1.8, 2.2, 10.0)), (back + 1, (2.8, 3.6, 10.0))):
        sinus = torch.maximum(ellipsoid(p, (0, y, p.z), axes, 0), hull - head.csf)
        canvas.paint("vessel", canvas.inside(sinus))


def _vessels(canvas: _Canvas, head: Head, p: Plane) -> None:
    """Paint vessels that cross the slice, on the surface of the brain and in the scalp."""
    count = 44
    move = Drift((head.seed, 5), p.z)
    rng = np.random.default_rng((head.seed, 6))
    angles = rng.uniform(0, 2 * np.pi, count) + 0.03 * move(count)
    out = np.where(np.arange(count) < 28, rng.uniform(-1.0, 0.8, count), np.nan)
    for spot, radius, offset in zip(head.outline(angles, p.z), rng.uniform(0.4, 0.8, count), out, strict=True):
        unit = spot / np.hypot(*spot)
        center = spot + unit * (head.scalp if np.isnan(offset) else offset)
        window = p.box(center - 3, center + 3)
        if window is not None:
            q = p.window(*window)
            disc = ((q.x - center[0]) ** 2 + (q.y - center[1]) ** 2).sqrt() - radius
            canvas.window(*window).paint("vessel", 0.9 * canvas.inside(disc))
