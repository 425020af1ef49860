from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.smooth import Drift, SmoothNoise, spline_weights

AXIS = torch.linspace(-100, 100, 81, dtype=torch.float64)


@settings(deadline=None)
@given(st.floats(2.0, 7.0))
def test_spline_weights_sum_to_one_and_reproduce_lines(position: float) -> None:
    weights = spline_weights(torch.tensor([position], dtype=torch.float64), 10)[0]
    knots = torch.arange(10, dtype=torch.float64)
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)
    assert (weights @ knots).item() == pytest.approx(position)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(10, 90), st.floats(-60, 60))
def test_field_is_the_same_on_every_grid_and_continuous_in_z(seed: int, wavelength: float, z: float) -> None:
    noise = SmoothNoise((seed, 1), wavelength)
    coarse, fine = noise.plane(AXIS[::4], AXIS, z), noise.plane(AXIS, AXIS[::2], z)
    torch.testing.assert_close(coarse[::2], fine[:, ::4])
    assert (noise.plane(AXIS, AXIS, z + 1e-6) - noise.plane(AXIS, AXIS, z)).abs().max() < 1e-5


def test_field_has_unit_variance_no_mean_and_its_length_scale() -> None:
    values = torch.stack([SmoothNoise((seed,), 30.0).plane(AXIS, AXIS, 3.0) for seed in range(40)])
    assert values.std().item() == pytest.approx(1, abs=0.05)
    assert abs(values.mean().item()) < 0.1

    def correlation(lag: int) -> float:
        return torch.corrcoef(torch.stack([values[..., lag:].flatten(), values[..., :-lag].flatten()]))[0, 1].item()

    assert correlation(2) > 0.85  # 5 mm, a sixth of the wavelength
    assert abs(correlation(24)) < 0.1  # two wavelengths


def test_fields_of_different_keys_differ_and_reach_beyond_their_extent() -> None:
    first, second = (SmoothNoise((0, k), 25.0).plane(AXIS, AXIS, 0.0) for k in (0, 1))
    assert (first * second).mean().abs() < 0.2
    far = torch.tensor([-1e4, 1e4])
    assert torch.isfinite(SmoothNoise((0,), 7.0).plane(far, far, 1e4)).all()


def test_drift_is_repeatable_and_changes_slowly() -> None:
    near = [Drift((1, 2), z)(500) for z in (10.0, 10.2, 60.0)]
    assert (near[0] == Drift((1, 2), 10.0)(500)).all()
    assert abs(near[0] - near[1]).max() < 0.2
    assert abs((near[0] * near[2]).mean()) < 0.2
    assert near[0].std() == pytest.approx(1, abs=0.1)


def test_each_call_of_a_drift_gives_other_numbers() -> None:
    drift = Drift((3,), 0.0)
    assert abs((drift(1000) * drift(1000)).mean()) < 0.15
