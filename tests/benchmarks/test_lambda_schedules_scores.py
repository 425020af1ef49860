"""Scores along a cascade."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kascade.benchmarks.lambda_schedules_probes import Probe, make_probes
from kascade.benchmarks.lambda_schedules_scores import Score, score_probe, table_of
from kascade.errors import ConfigError
from kascade.physics import regularized_sense
from kascade.unroll import UnrolledSENSE
from kascade.unroll.cascade import TOLERANCE
from tests.benchmarks.lambda_tiny import made_up, make_tiny, tiny_recipe


class Smooth(nn.Module):
    """Mean of a pixel and the one above."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + x.roll(1, -2)) / 2


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    make_tiny(monkeypatch, 1)
    return make_probes(tiny_recipe(), None)[0]


def test_every_step_is_scored(probe: Probe) -> None:
    found = score_probe(UnrolledSENSE(Smooth(), 2, [5.0, 2.0]), "tied", 3, probe)
    E, y = probe.problem.E, probe.problem.y
    x1 = regularized_sense(E, y, None, 5.0, tol=TOLERANCE).image
    z1 = Smooth()(x1)
    x2 = regularized_sense(E, y, z1, 2.0, tol=TOLERANCE).image
    z2 = Smooth()(x2)
    assert found.x == pytest.approx([probe.psnr(x1), probe.psnr(x2)], abs=1e-4)
    assert found.z == pytest.approx([probe.psnr(z1), probe.psnr(z2)], abs=1e-4)
    assert found.psnr == found.z[-1] and found.ssim == pytest.approx(probe.ssim(z2), abs=1e-6)
    assert found.lam == (5.0, 2.0)
    assert (found.schedule, found.seed, found.scan, found.accel) == ("tied", 3, "phantom 1", 4)


def test_a_perfect_image_has_no_finite_psnr(probe: Probe) -> None:
    target, head = probe.truth
    exact = torch.from_numpy(np.where(head, target, 0)) / probe.problem.intensity.double()
    assert probe.psnr(exact) > 200


def test_slices_of_a_scan_are_averaged() -> None:
    scores = made_up(seeds=3, measured=True).scores
    table = table_of(scores, "tied", 6, "psnr")
    assert table.shape == (3, 2)
    chosen = [s.psnr for s in scores if (s.schedule, s.accel, s.seed, s.scan) == ("tied", 6, 2, "b")]
    assert len(chosen) == 2 and table[1, 1] == pytest.approx(np.mean(chosen))
    assert table_of(scores, "tied", 6, "lam").shape == (3, 2, 2)
    assert table_of(scores, "tied", 6, "psnr", measured=True).shape == (3, 1)


def test_a_missing_score_is_no_zero() -> None:
    scores: list[Score] = [s for s in made_up().scores if (s.schedule, s.seed, s.scan) != ("tied", 2, "a")]
    with pytest.raises(ConfigError, match="'tied' at R = 4 has no score for some seed and scan"):
        table_of(scores, "tied", 4, "psnr")
    assert table_of(scores, "learned", 4, "psnr").shape == (2, 2)
