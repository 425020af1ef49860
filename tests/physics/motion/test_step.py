"""The linearized encoding: derivatives equal those of the operator, and the step solves its system."""

from __future__ import annotations

import math

import torch

from kascade.physics import RigidMotion, ShotEncoding, fft
from kascade.physics.motion.level import make_level, resized
from kascade.physics.motion.step import LinearStep
from kascade.physics.shot_plan import shot_columns
from tests.battery import random_complex

N, SHOTS = 24, 3
SPACING = (1.0, 0.8)


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[int]]:
    """Maps, image, motion and shots; the image is smooth and far from the edges."""
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (N, N))
    image = torch.exp(-(rows[:, None] ** 2 / 9 + (columns - 1) ** 2 / 8)) * (1 + 0.3j)
    maps = torch.stack(
        [
            torch.exp(-((rows[:, None] - 8 * math.cos(a)) ** 2 + (columns - 8 * math.sin(a)) ** 2) / 200)
            for a in range(4)
        ]
    ).to(torch.complex128)
    maps = maps / maps.abs().square().sum(0).sqrt()
    motion = torch.tensor([[0, 0, 0], [0.5, -0.3, 4], [-0.4, 0.6, -3]], dtype=torch.float64)
    return maps, image, motion, [c % SHOTS for c in range(N)]


def test_tangents_are_the_derivatives_of_the_moved_image() -> None:
    maps, image, motion, shots = problem()
    level = make_level(fft(maps * image), maps, shot_columns(shots, [[0], [1], [2]], torch.ones(N)), 1.0, SPACING)
    plan = level.plan(motion, torch.ones(SHOTS, dtype=torch.float64))
    step = LinearStep.at(level, plan, image, motion, torch.ones(SHOTS, 1, dtype=torch.float64))
    tangents = torch.cat(step.tangents)
    for p in range(3):
        unit = torch.zeros_like(motion)
        unit[:, p] = 1
        ahead, behind = (RigidMotion(motion + e * unit, (N, N), spacing=SPACING)(image) for e in (1e-4, -1e-4))
        exact = (ahead - behind) / 2e-4
        assert float((tangents[:, p] - exact).norm()) < 1e-3 * float(exact.norm())


def test_the_step_solves_the_linear_least_squares_problem() -> None:
    maps, image, motion, shots = problem()
    motion = motion.clone()
    truth = ShotEncoding(maps, motion, shots, spacing=SPACING)
    level = make_level(truth(image), maps, shot_columns(shots, [[0], [1], [2]], torch.ones(N)), 1.0, SPACING)
    weights = torch.tensor([1.0, 0.5, 0.7], dtype=torch.float64)
    free = torch.tensor([[0.0], [1.0], [1.0]], dtype=torch.float64)
    start, x = torch.zeros_like(motion), image + 0.01 * random_complex(N, N)
    plan = level.plan(start, weights)
    linear = LinearStep.at(level, plan, x, start, free)
    residuals = [d - m for d, m in zip(level.data(plan, weights), plan.forward(x), strict=True)]
    pull = 0.1 * random_complex(N, N, seed=1)
    step = linear.solve(residuals, pull, a=0.05, damping=0.1, tol=1e-10, max_iter=500)
    assert not bool(step.motion[0].any()) and step.iterations < 500

    def cost(dx: torch.Tensor, d: torch.Tensor) -> float:
        total = 0.05 * (dx - pull).abs().square().sum() + 0.1 * dx.abs().square().sum()
        total = total + 0.1 * (d.square() * linear.blocks.diagonal(dim1=-2, dim2=-1)).sum()
        for group, tangents, r in zip(plan.groups, linear.tangents, residuals, strict=True):
            moved = plan.moved(dx, group) + torch.einsum("sp,sprc->src", d[group.shots].to(dx.dtype), tangents)
            total = total + (plan.measure(moved, group) - r).abs().square().sum()
        return float(total)

    best = cost(step.image, step.motion)
    for seed in range(4):
        other = random_complex(N, N, seed=seed), random_complex(SHOTS, 3, seed=seed).real * free
        assert cost(step.image + 1e-3 * other[0], step.motion + 1e-3 * other[1]) > best


def test_a_coarse_level_holds_the_same_image_and_the_same_motion() -> None:
    maps, image, motion, shots = problem()
    wide = resized(image, (2 * N, 2 * N))
    smooth_maps = torch.nn.functional.interpolate(
        torch.view_as_real(maps).movedim(-1, 1), scale_factor=2, mode="bicubic"
    )
    big_maps = torch.complex(smooth_maps[:, 0].contiguous(), smooth_maps[:, 1].contiguous())
    big_maps = big_maps / big_maps.abs().square().sum(0).sqrt()
    shots = [c % SHOTS for c in range(2 * N)]
    y = ShotEncoding(big_maps, motion, shots)(wide)
    columns = shot_columns(shots, [[0], [1], [2]], torch.ones(2 * N))
    level = make_level(y, big_maps, columns, 0.5, (1.0, 1.0))
    assert level.shape[1] < 2 * N and sum(len(own) for own in level.columns) == N
    weights = torch.ones(SHOTS, dtype=torch.float64)
    plan = level.plan(motion, weights)
    model = plan.forward(resized(wide, level.shape))
    data = level.data(plan, weights)
    misfit = sum(float((d - m).abs().square().sum()) for d, m in zip(data, model, strict=True))
    blind = level.plan(torch.zeros_like(motion), weights).forward(resized(wide, level.shape))
    other = sum(float((d - m).abs().square().sum()) for d, m in zip(data, blind, strict=True))
    assert misfit < 0.02 * other
