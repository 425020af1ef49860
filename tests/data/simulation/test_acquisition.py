from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.acquisition import Geometry, combined_snr, image_support, object_phase

AXIS = torch.linspace(-80, 80, 65, dtype=torch.float64)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.1, 3), st.floats(-40, 60))
def test_phase_is_the_same_on_every_grid_smooth_and_as_strong_as_asked(seed: int, strength: float, z: float) -> None:
    phase = object_phase(AXIS, AXIS, z, strength, seed)
    torch.testing.assert_close(object_phase(AXIS[::4], AXIS[::2], z, strength, seed), phase[::2, ::4])
    disc = AXIS[None, :] ** 2 + AXIS[:, None] ** 2 < 80**2
    assert 0.4 * strength < phase[disc].std() < 2.2 * strength
    steps = torch.stack([phase.diff(dim=0)[:, :-1], phase.diff(dim=1)[:-1]])
    assert steps.abs().max() < 0.3 * strength  # per 2.5 mm


def test_strength_is_met_on_average_and_zero_leaves_a_constant() -> None:
    disc = AXIS[None, :] ** 2 + AXIS[:, None] ** 2 < 80**2
    spread = torch.stack([object_phase(AXIS, AXIS, 0.0, 1.0, seed)[disc].var() for seed in range(60)])
    assert spread.mean().sqrt().item() == pytest.approx(1, abs=0.15)
    assert object_phase(AXIS, AXIS, 0.0, 0.0, 5).std() == 0
    assert not torch.equal(object_phase(AXIS, AXIS, 0.0, 1.0, 0), object_phase(AXIS, AXIS, 0.0, 1.0, 1))


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(0, math.tau))
def test_support_depends_on_neither_scale_nor_phase(scale: float, angle: float) -> None:
    image = torch.zeros(20, 20)
    image[5:15, 5:15] = torch.linspace(0.02, 1, 100).reshape(10, 10)
    support = image_support(image)
    assert torch.equal(image_support(image * torch.polar(torch.tensor(scale), torch.tensor(angle))), support)
    assert support.sum() == 97  # three of the hundred are below a twentieth
    assert not image_support(torch.zeros(4, 4)).any()


def test_snr_of_uncorrelated_coils_with_unit_maps_is_signal_over_noise() -> None:
    image = torch.full((6, 5), 3.0)
    maps = torch.nn.functional.normalize(torch.randn(4, 6, 5, dtype=torch.complex64), dim=0)
    assert combined_snr(image, maps, 0.25 * torch.eye(4)) == pytest.approx(3 / 0.5, rel=1e-5)


def test_snr_agrees_with_noise_that_was_drawn() -> None:
    torch.manual_seed(0)
    maps = torch.nn.functional.normalize(torch.randn(3, 30, 30, dtype=torch.complex128), dim=0)
    root = torch.tensor([[1, 0, 0], [0.5j, 0.8, 0], [0.3, -0.2j, 1.2]], dtype=torch.complex128)
    covariance = root @ root.mH
    noise = torch.einsum("ij,jrcn->ircn", root, torch.randn(3, 30, 30, 200, dtype=torch.complex128))
    inverse = torch.linalg.inv(covariance)
    weights = torch.einsum("irc,ij->jrc", maps.conj(), inverse)
    weights /= (weights * maps).sum(0)
    combined = torch.einsum("jrc,jrcn->rcn", weights, noise)
    measured = 2.0 / combined.abs().square().mean().sqrt().item()
    assert combined_snr(torch.full((30, 30), 2.0), maps, covariance) == pytest.approx(measured, rel=0.01)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 40))
def test_extended_image_keeps_its_center(rows: int, extra: int) -> None:
    geometry = Geometry((rows + extra, 3), rows, (1.0, 1.0), (0.0,), "axial", 2)
    image = torch.zeros(rows, 3)
    image[rows // 2] = 1
    extended = geometry.extend(image)
    assert extended.shape == (rows + extra, 3)
    assert extended[(rows + extra) // 2].tolist() == [1, 1, 1]
    assert extended.sum() == 3
