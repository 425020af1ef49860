"""Noise covariance and whitening: closed forms and bad input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError, ShapeError
from kascade.physics.noise import corner_noise, noise_covariance, rss_weight, whiten, whitening_matrix
from kascade.physics.rss import rss
from tests.battery import random_complex


def covariance_of(coils: int, seed: int) -> torch.Tensor:
    mix = random_complex(coils, coils, seed=seed) + 2 * torch.eye(coils, dtype=torch.complex128)
    return mix @ mix.mH


def test_covariance_of_known_noise() -> None:
    samples = torch.tensor([[1.0, 1j, -1.0, -1j], [2.0, 0.0, -2.0, 0.0]], dtype=torch.complex128)
    expected = torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.complex128)
    torch.testing.assert_close(noise_covariance(samples), expected)


@settings(max_examples=20, deadline=None)
@given(coils=st.integers(1, 8), seed=st.integers(0, 99))
def test_whitening_makes_the_covariance_the_identity(coils: int, seed: int) -> None:
    psi = covariance_of(coils, seed)
    w = whitening_matrix(psi)
    torch.testing.assert_close(w @ psi @ w.mH, torch.eye(coils, dtype=psi.dtype), rtol=1e-9, atol=1e-9)


def test_measured_noise_becomes_white() -> None:
    mix = torch.linalg.cholesky(covariance_of(3, 1))
    kspace = torch.einsum("ij,jrc->irc", mix, random_complex(3, 100, 100, seed=2))
    white = whiten(kspace, whitening_matrix(noise_covariance(corner_noise(kspace, 0.4))))
    torch.testing.assert_close(noise_covariance(white.flatten(1)), torch.eye(3, dtype=white.dtype), rtol=0, atol=0.06)


def test_corner_noise_leaves_out_what_was_not_acquired() -> None:
    kspace = random_complex(2, 40, 40)
    kspace[:, :, ::2] = 0
    kspace[:, 10:30, 10:30] = 1e6
    samples = corner_noise(kspace)
    assert samples.shape == (2, 4 * 4 * 2) and float(samples.abs().max()) < 100
    with pytest.raises(ConfigError, match="corners of k-space hold 0 acquired samples"):
        corner_noise(torch.zeros_like(kspace))


@settings(max_examples=20, deadline=None)
@given(coils=st.integers(1, 5), seed=st.integers(0, 99))
def test_rss_weight_gives_raw_intensity(coils: int, seed: int) -> None:
    """A whitened SENSE image times the weight is the RSS of the raw coil images."""
    raw, w = random_complex(coils, 3, 4, seed=seed), whitening_matrix(covariance_of(coils, seed))
    white = whiten(raw, w)
    image = rss(white)
    torch.testing.assert_close(rss_weight(white / image, w) * image, rss(raw), rtol=1e-9, atol=1e-9)


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match=r"complex \(coil, samples\)"):
        noise_covariance(torch.zeros(3))
    with pytest.raises(ConfigError, match="2 noise samples cannot give the covariance of 3 coils"):
        noise_covariance(random_complex(3, 2))
    with pytest.raises(ConfigError, match="not positive definite"):
        whitening_matrix(torch.ones(2, 2, dtype=torch.complex64))
    with pytest.raises(ShapeError, match="3 coils"):
        whiten(random_complex(3, 4, 4), random_complex(2, 2))
