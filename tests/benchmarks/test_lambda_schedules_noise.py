"""Noise of cascades and of SENSE."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kascade.benchmarks.lambda_schedules_noise import (
    NoiseProbe,
    cascade_gains,
    make_noise_probe,
    sense_examples,
)
from kascade.physics import regularized_sense
from kascade.physics.gfactor import noise_amplification
from kascade.unroll import UnrolledSENSE
from tests.benchmarks.lambda_tiny import make_tiny


class Scale(nn.Module):
    """Linear "network"."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> NoiseProbe:
    make_tiny(monkeypatch, 1)
    return make_noise_probe(4)


def test_the_noise_of_the_probe_is_white_and_of_unit_variance(noise: NoiseProbe) -> None:
    mask = noise.probe.problem.E.mask
    assert mask is not None
    difference = (noise.probe.problem.y - noise.clean)[..., mask > 0]
    covariance = torch.cov(difference.flatten(1))
    torch.testing.assert_close(covariance, torch.eye(8, dtype=covariance.dtype), atol=0.12, rtol=0)
    assert not noise.clean[..., mask == 0].any()


def test_the_gain_of_linear_steps_is_that_of_sense(noise: NoiseProbe) -> None:
    E, head = noise.probe.problem.E, noise.probe.truth[1]
    first, second = cascade_gains(UnrolledSENSE([Scale(0.5), Scale(3.0)], 2, [2.0, 1.0]), "tied", 1, noise, 60)

    def steps(y: Tensor) -> Tensor:
        x = regularized_sense(E, y, None, 2.0).image
        return regularized_sense(E, y, 0.5 * x, 1.0).image

    for gain, reconstruct in ((first, lambda y: regularized_sense(E, y, None, 2.0).image), (second, steps)):
        expected = noise_amplification(reconstruct, E.range_shape, mask=E.mask, replicas=200).numpy()[head]
        assert gain.x_median == pytest.approx(np.median(expected), rel=0.04)
        assert gain.x_high == pytest.approx(np.percentile(expected, 95), rel=0.08)
    assert first.x_median < first.lam == 2.0
    assert (first.z_median, first.z_high) == pytest.approx((0.5 * first.x_median, 0.5 * first.x_high))
    assert second.z_median == pytest.approx(3 * second.x_median)
    assert (second.iteration, second.accel, second.lam) == (2, 4, 1.0)


def test_what_does_not_depend_on_the_data_has_no_noise(noise: NoiseProbe) -> None:
    (gain,) = cascade_gains(UnrolledSENSE(Scale(0.0), 1, 2.0), "tied", 1, noise, 5)
    assert gain.z_median == gain.z_high == 0 < gain.x_median


def test_every_cascade_gets_the_same_noise(noise: NoiseProbe) -> None:
    a, b = (cascade_gains(UnrolledSENSE(Scale(1.0), 1, 2.0), "tied", 1, noise, 12) for _ in range(2))
    assert a == b


def test_lambda_bounds_the_noise_of_sense_and_costs_resolution(noise: NoiseProbe) -> None:
    examples = sense_examples(noise, 60)
    inside = [example.gain[noise.probe.truth[1]] for example in examples]
    assert all(np.isfinite(values).all() for values in inside)
    assert all(np.isnan(e.gain[~noise.probe.truth[1]]).all() for e in examples)
    assert all(np.median(values) < e.lam for values, e in zip(inside, examples, strict=True))
    assert np.median(inside[0]) < np.median(inside[1]) < np.median(inside[2])
    assert examples[1].psnr > max(examples[0].psnr, examples[2].psnr)
    for example in examples:
        error = np.mean((example.image - noise.probe.truth[0])[noise.probe.truth[1]] ** 2)
        peak = noise.probe.truth[0].max()
        assert 10 * np.log10(peak**2 / error) == pytest.approx(example.psnr)
