from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.coils import HELMET_MM, Loop, coil_noise_covariance, helmet, loop_coil_maps, loop_field
from kascade.errors import ConfigError, ShapeError

ANGLES = st.floats(0, 2 * np.pi)


def unit(polar: float, turn: float) -> tuple[float, float, float]:
    return (np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar))


def integrated_field(loop: Loop, points: np.ndarray, segments: int = 4000) -> np.ndarray:
    """Law of Biot and Savart summed over straight pieces of wire, microtesla for 1 A and mm."""
    normal = np.array(loop.normal)
    u = np.cross(normal, [1.0, 0, 0] if abs(normal[0]) < 0.9 else [0, 1.0, 0])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    t = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
    wire = np.array(loop.center) + loop.radius_mm * (np.cos(t) * u + np.sin(t) * v)
    step = 2 * np.pi / segments * loop.radius_mm * (-np.sin(t) * u + np.cos(t) * v)
    r = points[:, None] - wire
    return 100 * (np.cross(step, r) / np.linalg.norm(r, axis=-1, keepdims=True) ** 3).sum(1)


@settings(deadline=None)  # the first call imports SciPy
@given(st.floats(5, 100), st.floats(-200, 200), ANGLES, ANGLES)
def test_field_on_the_axis_is_the_textbook_formula(radius: float, height: float, polar: float, turn: float) -> None:
    normal = unit(polar, turn)
    loop = Loop((10.0, -20.0, 30.0), normal, radius)
    point = torch.tensor(loop.center, dtype=torch.float64) + height * torch.tensor(normal, dtype=torch.float64)
    exact = 200 * np.pi * radius**2 / (radius**2 + height**2) ** 1.5  # mu_0 I a^2 / 2 (a^2 + z^2)^1.5
    torch.testing.assert_close(loop_field(loop, point), exact * torch.tensor(normal, dtype=torch.float64))


@settings(deadline=None, max_examples=25)
@given(st.floats(20, 80), ANGLES, ANGLES, st.integers(0, 10**6))
def test_field_is_the_integral_over_the_wire(radius: float, polar: float, turn: float, seed: int) -> None:
    loop = Loop((5.0, 100.0, -7.0), unit(polar, turn), radius)
    points = np.random.default_rng(seed).uniform(-150, 150, (20, 3))
    exact = integrated_field(loop, points)
    offset = points - np.array(loop.center)
    height = offset @ np.array(loop.normal)
    rho = np.sqrt(np.maximum((offset**2).sum(1) - height**2, 0))
    away = np.hypot(rho - radius, height) > 3
    field = loop_field(loop, torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(field[away], exact[away], rtol=1e-5, atol=1e-6 * abs(exact).max())


@settings(deadline=None)
@given(st.floats(-7.0, -1.0), st.floats(1, 150))
def test_field_is_continuous_toward_the_axis(exponent: float, height: float) -> None:
    loop = Loop((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 40.0)
    rho = 10**exponent
    radial = loop_field(loop, torch.tensor([rho, 0.0, height]))[0].item()
    limit = 300 * np.pi * 40**2 * height * rho / (40**2 + height**2) ** 2.5
    assert radial == pytest.approx(limit, rel=1e-4)


def test_field_is_divergence_free_and_free_of_curl() -> None:
    loop = Loop((0.0, 100.0, 0.0), (0.0, -1.0, 0.0), 45.0)
    points, h = torch.tensor([[10.0, 20.0, 30.0], [-40.0, 50.0, 5.0]], dtype=torch.float64), 1e-3
    basis = h * torch.eye(3, dtype=torch.float64)
    jacobian = torch.stack([(loop_field(loop, points + e) - loop_field(loop, points - e)) / (2 * h) for e in basis], -1)
    size = jacobian.abs().max()
    assert jacobian.diagonal(dim1=-2, dim2=-1).sum(-1).abs().max() < 1e-6 * size
    assert (jacobian - jacobian.mT).abs().max() < 1e-6 * size


def test_field_stays_finite_on_the_wire() -> None:
    loop = Loop((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 40.0)
    assert torch.isfinite(loop_field(loop, torch.tensor([[40.0, 0, 0], [40.0, 0, 1e-9], [0.0, 0, 0]]))).all()


@settings(deadline=None)
@given(st.integers(1, 80))
def test_helmet_has_all_loops_on_its_surface_looking_inward(coils: int) -> None:
    loops = helmet(coils)
    assert len(loops) == coils
    for loop in loops:
        assert sum((c / a) ** 2 for c, a in zip(loop.center, HELMET_MM, strict=True)) == pytest.approx(1)
        assert np.linalg.norm(loop.normal) == pytest.approx(1)
        assert np.dot(loop.center, loop.normal) < 0
        assert loop.radius_mm > 5


def test_more_coils_make_more_rings_of_smaller_loops() -> None:
    rings = {coils: len({round(loop.center[2], 6) for loop in helmet(coils)}) for coils in (1, 8, 9, 16, 24, 32, 64)}
    assert rings == {1: 1, 8: 1, 9: 2, 16: 2, 24: 3, 32: 4, 64: 4}
    assert helmet(32)[0].radius_mm < helmet(8)[0].radius_mm < helmet(4)[0].radius_mm


def test_maps_are_bx_minus_i_by_of_each_loop() -> None:
    raw = loop_coil_maps((12, 10), 5, (240, 200), slice_position_mm=20, normalize=False)
    x, y = (4 - 5) * 20.0, -(9 - 6) * 20.0
    for index, loop in enumerate(helmet(5)):
        bx, by, _ = loop_field(loop, torch.tensor([x, y, 20.0])).tolist()
        assert raw[index, 9, 4].item() == pytest.approx(complex(bx, -by), rel=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 20), st.floats(-40, 60), st.integers(4, 33), st.integers(4, 33))
def test_normalized_maps_have_unit_sum_of_squares(coils: int, z: float, rows: int, columns: int) -> None:
    maps = loop_coil_maps((rows, columns), coils, slice_position_mm=z)
    assert maps.shape == (coils, rows, columns)
    assert maps.dtype == torch.complex64
    torch.testing.assert_close((maps.abs() ** 2).sum(0), torch.ones(rows, columns))
    raw = loop_coil_maps((rows, columns), coils, slice_position_mm=z, normalize=False)
    torch.testing.assert_close(maps * raw.norm(dim=0), raw, rtol=1e-4, atol=1e-5)


def test_maps_are_smooth_in_the_head_and_each_coil_is_brightest_on_its_side() -> None:
    maps = loop_coil_maps((120, 120), 8, 240.0)
    inside = torch.zeros(120, 120, dtype=torch.bool)
    inside[30:90, 30:90] = True  # 12 cm
    steps = torch.stack([(maps[:, 1:, :-1] - maps[:, :-1, :-1]).abs(), (maps[:, :-1, 1:] - maps[:, :-1, :-1]).abs()])
    assert steps[..., inside[1:, 1:]].max() < 0.06  # per 2 mm
    bends = (maps[:, 2:] - 2 * maps[:, 1:-1] + maps[:, :-2]).abs()
    assert bends[:, inside[1:-1]].max() < 0.01
    for sensitivity, loop in zip(maps.abs(), helmet(8), strict=True):
        x, y = loop.center[0] / 2, loop.center[1] / 2
        near, far = sensitivity[60 - round(y / 2), 60 + round(x / 2)], sensitivity[60 + round(y / 2), 60 - round(x / 2)]
        assert near > 2 * far


def test_maps_do_not_depend_on_the_grid() -> None:
    fine, coarse = loop_coil_maps((128, 96), 6), loop_coil_maps((64, 48), 6)
    torch.testing.assert_close(fine[:, ::2, ::2], coarse)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.99), st.integers(0, 10**6))
def test_noise_covariance_is_hermitian_positive_definite_of_mean_one(coils: int, coupling: float, seed: int) -> None:
    covariance = coil_noise_covariance(coils, coupling=coupling, seed=seed)
    assert covariance.shape == (coils, coils)
    assert torch.equal(covariance, covariance.mH)
    assert torch.linalg.eigvalsh(covariance).min() > 0
    assert covariance.diagonal().real.mean().item() == pytest.approx(1, rel=1e-5)
    assert torch.equal(covariance, coil_noise_covariance(coils, coupling=coupling, seed=seed))


def test_coupling_falls_with_distance_and_vanishes_when_asked() -> None:
    coupled = coil_noise_covariance(8).abs()
    neighbors, opposite = (torch.stack([coupled[i, (i + d) % 8] for i in range(8)]) for d in (1, 4))
    assert neighbors.min() > opposite.max()
    assert 0.03 < neighbors.mean() < 0.4
    free = coil_noise_covariance(8, coupling=0.0)
    assert (free - torch.diag(free.diagonal())).abs().max() == 0
    assert coil_noise_covariance(16).imag.abs().max() > 0.02


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: helmet(0), ConfigError, "coils is 0"),
        (lambda: helmet(4, (1.0, -2.0, 3.0)), ConfigError, "half_axes_mm"),
        (lambda: loop_coil_maps((4, 4, 4)), ShapeError, "rows, columns"),
        (lambda: loop_coil_maps((4, 4), 0), ConfigError, "coils is 0"),
        (lambda: loop_coil_maps((4, 4), fov_mm=0), ConfigError, "fov_mm"),
        (lambda: coil_noise_covariance(4, coupling=1.0), ConfigError, "coupling is 1.0"),
        (lambda: loop_field(helmet(1)[0], torch.zeros(4)), ShapeError, "expected \\(\\*, 3\\)"),
    ],
)
def test_bad_arguments_are_named(call, error: type[Exception], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        call()
