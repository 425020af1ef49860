"""Multi-shot encoding linearized about an image and its motion, and the Levenberg-Marquardt step from there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kascade.physics.motion.level import Level
from kascade.physics.shot_plan import ShotGroup, ShotPlan

__all__ = ["LinearStep", "Step"]


@dataclass(frozen=True, eq=False)
class Step:
    """Changes of image (rows, columns) and motion (shots, 3), and the conjugate gradient iterations that they took."""

    image: Tensor
    motion: Tensor
    iterations: int


@dataclass(frozen=True, eq=False)
class LinearStep:
    """E(x + dx, motion + d) is about E x + E dx + J d.

    Attributes
    ----------
    plan : ShotPlan
        Encoding with the motion as it is.
    tangents : list of Tensor
        Of each group: derivatives of each shot's image with respect to its motion, complex (shots, 3, rows, columns).
    blocks : Tensor
        J^H J of each shot, real (shots, 3, 3).
    free : Tensor
        Real (shots, 1): 1 for shots whose motion is sought, 0 for others.
    """

    plan: ShotPlan
    tangents: list[Tensor]
    blocks: Tensor
    free: Tensor

    @classmethod
    def at(cls, level: Level, plan: ShotPlan, x: Tensor, motion: Tensor, free: Tensor) -> LinearStep:
        """Linearize about the image `x` and `motion` (px of the full matrix, degrees)."""
        tangents, blocks = [], []
        for group in plan.groups:
            slopes = _tangents(level, plan.moved(x, group), motion[group.shots]) * free[group.shots, :, None, None]
            columns = torch.stack([plan.measure(one, group).flatten(1) for one in slopes.unbind(1)], dim=1)
            tangents.append(slopes)
            blocks.append((columns.conj() @ columns.mT).real)
        return cls(plan, tangents, torch.cat(blocks), free)

    def solve(
        self, residuals: Sequence[Tensor], pull: Tensor, a: float, damping: float, tol: float, max_iter: int
    ) -> Step:
        """Minimize ||E dx + J d - residual||^2 + a ||dx - pull||^2 + damping (||dx||^2 + d^T diag(J^H J) d).

        Conjugate gradients on image and motion together. Eliminating the image from this system would leave the
        Gauss-Newton step of the variable-projected cost (Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973); here that
        costs one application of E^H E for each iteration, however many shots there are.
        """
        ridge = damping * self.blocks.diagonal(dim1=-2, dim2=-1)
        scale = self.blocks.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-20)[:, None, None]
        inverse = torch.linalg.inv(self.blocks + torch.diag_embed(ridge) + 1e-6 * scale * torch.eye(3))

        def precondition(image: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
            return image / (1 + a + damping), torch.einsum("spq,sq->sp", inverse, motion) * self.free

        right = self._adjoint(residuals)
        r = (right[0] + a * pull, right[1])
        z = precondition(*r)
        p, rz = z, _dot(r, z)
        image, motion, first, steps = torch.zeros_like(pull), torch.zeros_like(right[1]), rz, 0
        while steps < max_iter and rz > tol**2 * first:
            q = self._normal(*p)
            q = (q[0] + (a + damping) * p[0], q[1] + ridge * p[1])
            along = rz / _dot(p, q)
            image, motion = image + along * p[0], motion + along * p[1]
            r = (r[0] - along * q[0], r[1] - along * q[1])
            z = precondition(*r)
            rz, before = _dot(r, z), rz
            p = (z[0] + rz / before * p[0], z[1] + rz / before * p[1])
            steps += 1
        return Step(image, motion, steps)

    def _normal(self, dx: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """[E J]^H [E J] applied to a step."""
        image, motion = torch.zeros_like(dx), torch.zeros_like(d)
        for group, tangents in zip(self.plan.groups, self.tangents, strict=True):
            moved = self.plan.moved(dx, group) + torch.einsum("sp,sprc->src", d[group.shots].to(dx.dtype), tangents)
            image = image + self._back(self.plan.measure(moved, group), group, tangents, motion)
        return image, motion

    def _adjoint(self, residuals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """[E J]^H applied to samples."""
        image, motion = torch.zeros_like(self.plan.maps[0]), torch.zeros_like(self.blocks[:, 0])
        for group, tangents, part in zip(self.plan.groups, self.tangents, residuals, strict=True):
            image = image + self._back(part, group, tangents, motion)
        return image, motion

    def _back(self, samples: Tensor, group: ShotGroup, tangents: Tensor, motion: Tensor) -> Tensor:
        """Image of the samples of a group; its share of the motion is written into `motion`."""
        images = self.plan.combine(samples, group)
        motion[group.shots] = torch.linalg.vecdot(tangents.flatten(2), images.flatten(1).unsqueeze(1)).real
        return self.plan.moved_back(images, group)


def _tangents(level: Level, moved: Tensor, motion: Tensor) -> Tensor:
    """Derivatives of moved images (shots, rows, columns) with respect to shifts and angle: (shots, 3, rows, columns).

    A shift moves the image against its gradient; a turn does so by the distance from the center, which has moved, too.
    """
    by_row, by_column = (_derivative(moved, axis) for axis in (-2, -1))
    rows, columns = level.shape
    y = torch.arange(rows, dtype=motion.dtype)[:, None] - rows // 2 - level.scale[0] * motion[:, :1, None]
    x = torch.arange(columns, dtype=motion.dtype) - columns // 2 - level.scale[1] * motion[:, 1:2, None]
    ratio = level.spacing[0] / level.spacing[1]
    turned = (y * ratio * by_column - x / ratio * by_row) * (math.pi / 180)
    return torch.stack([-level.scale[0] * by_row, -level.scale[1] * by_column, turned], dim=1)


def _derivative(x: Tensor, axis: int) -> Tensor:
    """Spectral derivative, per pixel."""
    n = x.shape[axis]
    k = torch.fft.fftfreq(n, dtype=x.real.dtype)
    ramp = torch.complex(torch.zeros_like(k), 2 * math.pi * k).reshape(-1, *(1,) * (-axis - 1))
    derivative: Tensor = torch.fft.ifft(torch.fft.fft(x, dim=axis) * ramp, dim=axis)
    return derivative


def _dot(u: tuple[Tensor, Tensor], v: tuple[Tensor, Tensor]) -> float:
    return float(torch.linalg.vecdot(u[0].flatten(), v[0].flatten()).real) + float((u[1] * v[1]).sum())
