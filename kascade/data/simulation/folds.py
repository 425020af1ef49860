"""Sulci and fissures of a random head: curves in each slice that drift smoothly from slice to slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kascade.data.simulation.anatomy import Head, Plane
from kascade.data.simulation.smooth import Drift

__all__ = ["Fold", "carve", "fissures", "sulci"]

CORTEX_MM = 4.8  # deeper than this below the surface the depth need not be exact


@dataclass(frozen=True)
class Fold:
    """One sulcus in one slice.

    Attributes
    ----------
    points : ndarray
        Corners (corners, 2) in mm, from its mouth to its fundus.
    mouth, floor : float
        Half widths of its cerebrospinal fluid in mm, at the mouth and deep inside.
    """

    points: np.ndarray
    mouth: float
    floor: float

    @property
    def widths(self) -> np.ndarray:
        """Half width at each corner: it narrows within a few mm of the mouth."""
        moves = np.diff(self.points, axis=0)
        depth = np.concatenate([[0.0], np.cumsum(np.hypot(moves[:, 0], moves[:, 1]))])
        return np.asarray(self.floor + (self.mouth - self.floor) * np.exp(-depth / 4.0))


def carve(depth: Tensor, p: Plane, folds: list[Fold]) -> Tensor:
    """Depth of every point below the surface that the hull and the folds make, in mm; negative in the fluid.

    Parameters
    ----------
    depth : Tensor
        Depth below the hull, shape (rows, columns).
    p : Plane
        The points.
    folds : list of Fold
        What cuts into the hull.
    """
    depth = depth.clone()
    for fold in folds:
        reach = CORTEX_MM + max(fold.mouth, fold.floor)
        half = len(fold.points) // 2
        for part in (slice(0, half + 1), slice(half, None)):  # two small windows cost less than a large one
            points, widths = fold.points[part], fold.widths[part]
            window = p.box(points.min(0) - reach, points.max(0) + reach)
            if window is not None and len(points) > 1:
                torch.minimum(depth[window], _distance(p.window(*window), points, widths), out=depth[window])
    return depth


def _distance(p: Plane, points: np.ndarray, widths: np.ndarray) -> Tensor:
    """Distance to the fluid around a polyline; negative inside."""
    corners = torch.from_numpy(np.column_stack([points, widths])).to(p.x.dtype)[:, :, None, None]
    start, step = corners[:-1], corners[1:] - corners[:-1]
    dx, dy = p.x - start[:, 0], p.y - start[:, 1]
    along = step[:, :2] / (step[:, :2] ** 2).sum(1, keepdim=True)
    t = (dx * along[:, 0]).add_(dy * along[:, 1]).clamp_(0, 1)
    dx.sub_(t * step[:, 0]).square_()
    dy.sub_(t * step[:, 1]).square_()
    return dx.add_(dy).sqrt_().sub_(t.mul_(step[:, 2])).sub_(start[:, 2]).amin(0)


def fissures(head: Head, z: float) -> list[Fold]:
    """Interhemispheric fissure, in front of and behind the corpus callosum where that crosses the slice."""
    front, back = head.poles(z)
    callosum = head.callosum(z)
    width = 0.4 + 0.6 * head.atrophy
    ends = [(front, back)] if callosum is None else [(front, callosum[0]), (back, callosum[1])]
    lines = [np.linspace(a + np.sign(a) * 3, b, 12) for a, b in ends]
    return [Fold(np.stack([0 * y, y], axis=-1), width + 1.2, width) for y in lines]


def sulci(head: Head, z: float) -> list[Fold]:
    """All sulci of both hemispheres at height z, the Sylvian fissures with the insula included."""
    return [fold for side in (-1, 1) for fold in _Hemisphere(head, z, side).grow()]


def _curve(start: np.ndarray, heading: float, bends: np.ndarray, length: float, steps: int = 10) -> np.ndarray:
    """Polyline from `start` whose direction (radians) turns smoothly, by the sum of `bends` over its length."""
    turns = np.interp(np.linspace(0, len(bends) - 1, steps), np.arange(len(bends)), bends) * (len(bends) / steps)
    headings = heading + np.cumsum(turns)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=-1) * (length / steps)
    return np.concatenate([start[None], start + np.cumsum(moves, axis=0)])


def _rounded(points: np.ndarray) -> np.ndarray:
    """Polyline with its corners cut twice (Chaikin)."""
    for _ in range(2):
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


class _Hemisphere:
    """Grows the sulci of one half one after the other; each stops where it would come too near to what is there."""

    def __init__(self, head: Head, z: float, side: int) -> None:
        self.head, self.z, self.side = head, z, side
        self.rng = np.random.default_rng((head.seed, 3, side + 1))
        self.drift = Drift((head.seed, 4, side + 1), z)
        self.open = 0.5 + head.atrophy
        self.folds: list[Fold] = []
        self.front, self.back = head.poles(z)
        self.rim = head.outline(np.linspace(-np.pi / 2, np.pi / 2, 121), z) * [side, 1]
        self.arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(self.rim, axis=0).T))])

    def grow(self) -> list[Fold]:
        """All folds of this half."""
        self._sylvian()
        lateral = self._lateral_anchors()
        deep = [self._lateral(anchor, self.rng.uniform(18, 30), 0.7) for anchor in lateral[::2]]
        for y in np.arange(-80.0, 82.0, 11.0):
            self._medial(y + self.rng.uniform(-2.5, 2.5))
        for anchor in lateral[1::2]:
            self._lateral(anchor, self.rng.uniform(9, 17), 0.4)
        for at in (0.5, 0.78, 0.3):
            for curve in deep:
                self._branch(curve, at)
        return self.folds

    def _clear(self, curve: np.ndarray, skip: int, spacing: float, besides: np.ndarray | None = None) -> np.ndarray:
        """The curve up to where it comes within `spacing` of a fold, the white core or the midline."""
        core = np.stack([np.full(len(curve), self.side * 23.0), curve[:, 1].clip(-40, 36)], axis=-1)
        room = np.hypot(*(curve - core).T) - 12 * self.head.scale
        others = [fold.points for fold in self.folds if fold.points is not besides]
        if others:
            x, y = (curve[:, k, None] - np.concatenate(others)[None, :, k] for k in (0, 1))
            room = np.minimum(room, np.sqrt((x**2 + y**2).min(1)) - spacing)
        bad = np.flatnonzero(room[skip:] < 0)
        if not len(bad):
            return curve
        last = int(bad[0]) + skip
        if last == 0 or room[last - 1] <= 0:
            return curve[:last]
        part = room[last - 1] / (room[last - 1] - room[last])
        return np.concatenate([curve[:last], (curve[last - 1] + part * (curve[last] - curve[last - 1]))[None]])

    def _add(self, curve: np.ndarray, mouth: float, floor: float, shortest: float) -> np.ndarray | None:
        length = np.hypot(*np.diff(curve, axis=0).T).sum() if len(curve) > 1 else 0.0
        if length < shortest:
            return None
        fade = min(1.0, (length - shortest) / 3)  # a sulcus appears smoothly along z
        self.folds.append(Fold(curve, mouth * fade, floor * fade - 0.6 * (1 - fade)))
        return curve

    def _lateral_anchors(self) -> np.ndarray:
        count = int(self.rng.integers(25, 28))
        return (np.arange(count) + 0.6 + self.rng.uniform(-0.2, 0.2, count)) / (count + 0.2)

    def _lateral(self, anchor: float, length: float, wide: float) -> np.ndarray | None:
        """Sulcus that enters from the outer surface, at a fraction of the way from the back to the front."""
        d = self.drift(8)
        along = (anchor + 0.006 * d[0]) * self.arc[-1]
        place = np.array([np.interp(along, self.arc, self.rim[:, k]) for k in (0, 1)])
        core = np.array([self.side * 23.0, np.clip(place[1] * 0.8, -40, 36)])
        heading = np.arctan2(*(core - place)[::-1]) + 0.12 * d[1]
        entry = place - 3 * np.array([np.cos(heading), np.sin(heading)])
        curl = self.rng.normal(0, 0.05) * np.ones(6)
        floor = 0.1 + self.open * wide * self.rng.uniform()
        curve = _curve(entry, heading, curl + 0.22 * d[2:8], length + 3)
        return self._add(self._clear(curve, 0, 5.0), floor + 0.9 * self.open + 0.4, floor, 6.0)

    def _medial(self, y: float) -> None:
        """Sulcus that enters from the interhemispheric fissure."""
        d = self.drift(8)
        length, floor = self.rng.uniform(7, 17), 0.1 + 0.4 * self.open * self.rng.uniform()
        y = y + 1.2 * d[0]
        room = min(self.front - y, y - self.back) - 5
        callosum = self.head.callosum(self.z)
        if callosum is not None:
            room = min(room, max(y - callosum[0], callosum[1] - y) - 5)
        heading = (0.0 if self.side > 0 else np.pi) + 0.25 * d[1]
        curve = _curve(np.array([0.0, y]), heading, 0.35 * d[2:8], min(length, max(2.0 * room, 1.0)))
        self._add(self._clear(curve, 0, 5.0), floor + 0.3, floor, 3.5)

    def _branch(self, parent: np.ndarray | None, at: float) -> None:
        """Side branch of a deep sulcus."""
        d, length, sign = self.drift(5), self.rng.uniform(7, 13), self.rng.choice([-1.0, 1.0])
        floor = 0.1 + 0.3 * self.open * self.rng.uniform()
        if parent is None or len(parent) < 8:
            return
        i = int(at * (len(parent) - 1))
        heading = np.arctan2(*(parent[i + 1] - parent[i])[::-1]) + sign * (1.0 + 0.15 * d[0])
        curve = _curve(parent[i], heading, -0.15 * sign + 0.25 * d[1:5], length, 8)
        self._add(self._clear(curve, 2, 5.0, besides=parent), floor, floor, 4.0)

    def _sylvian(self) -> None:
        """Sylvian fissure and the sulci around the insula, between z = -30 and 26."""
        d = self.drift(14)
        opening = 1 - max(0.0, abs(self.z + 2) - 14) / 14
        if opening <= 0.05:
            return
        y = 4 + 2.5 * d[0]
        rim = self.head.outline(np.array([np.arctan2(y, 62)]), self.z)[0]
        insula = np.array([[34.0, 23.0], [37.5, 15.0], [39.5, 5.0], [38.5, -7.0], [35.0, -17.0]]) * self.head.scale
        insula[:, 0] += 0.7 * d[1:6]
        middle = insula[2].copy()
        insula = middle + (insula - middle) * opening
        trunk = np.concatenate(
            [
                rim + np.array([[3, -1], [-5, -1 + d[6]], [-13, 1.5 * d[7] - 2]]),
                middle + np.array([[4, 1], [0, 0]]),
            ]
        )
        front = insula[0] + np.array([[0, 0], [3, 4], [8, 6 + d[8]], [13, 4 + 2 * d[9]]])
        back = insula[-1] + np.array([[0, 0], [3, -5], [9, -7 + d[10]], [15, -5 + d[11]]])
        width = 0.5 + 0.6 * self.head.atrophy
        for points, mouth, floor in (
            (trunk, width + 1.4, width),
            (insula, width, width),
            (front, width, 0.3),
            (back, width, 0.3),
        ):
            self.folds.append(Fold(_rounded(points) * [self.side, 1], mouth * opening, floor * opening))
