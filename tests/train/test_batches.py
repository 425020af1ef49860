from __future__ import annotations

import pytest
import torch

from kascade.errors import ConfigError
from kascade.physics import regularized_sense
from kascade.train.batches import shares, stack
from kascade.train.examples import Example
from tests.train.tiny import encoding, example


def test_examples_of_equal_shapes_are_stacked() -> None:
    drawn = [example(0), example(1, columns=28), example(2), example(3, coils=3)]
    problems = stack(drawn)
    assert [tuple(p.y.shape) for p in problems] == [(2, 2, 24, 24), (1, 2, 24, 28), (1, 3, 24, 24)]
    assert torch.equal(problems[0].target[1], drawn[2].target)


@pytest.mark.parametrize("grid", [False, True])
def test_a_stacked_problem_is_each_of_its_own(grid: bool) -> None:
    drawn = [example(0), example(1)]
    if grid:
        drawn = [Example(e.y, e.maps, e.mask.expand(24, 24).clone(), e.target) for e in drawn]
        drawn[1].mask[::2] = 0
    else:
        drawn[1].mask[::4] = 0
    (problem,) = stack(drawn)
    images = regularized_sense(problem.E, problem.y, lam=2.0).image
    for image, alone in zip(images, drawn, strict=True):
        expected = regularized_sense(encoding(alone), alone.y, lam=2.0).image
        torch.testing.assert_close(image, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_together_take_every_example_once(world: int) -> None:
    taken = [shares(range(2, 6), 6, rank, world) for rank in range(world)]
    for step in range(4):
        indices = sorted(index for rank in taken for index in rank[step])
        assert indices == list(range(6 * (step + 2), 6 * (step + 3)))


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a multiple of 2"):
        shares(range(1), 3, 0, 2)
