"""Priors from networks that nobody here wrote: sizes, channels, amplitudes, tiles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.unroll import as_prior
from tests.battery import random_complex

SINGLE = torch.complex64


class Probe(nn.Module):
    """Multiplies by a number and remembers what it was given."""

    def __init__(self, factor: float = 1.0, stride: int = 8, out_channels: int | None = None) -> None:
        super().__init__()
        self.factor, self.stride, self.out_channels, self.seen = factor, stride, out_channels, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.factor * (x if self.out_channels is None else x[:, : self.out_channels])


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), batch=st.lists(st.integers(1, 2), max_size=2))
def test_any_size_and_batch(rows: int, columns: int, batch: list[int]) -> None:
    x = random_complex(*batch, rows, columns, dtype=SINGLE)
    for channels in ("complex", "magnitude"):
        probe = Probe(2.0)
        torch.testing.assert_close(as_prior(probe, channels)(x), 2 * x, rtol=1e-4, atol=1e-5)
        assert probe.seen[0].shape[-2] % 8 == 0 and probe.seen[0].shape[-1] % 8 == 0
        assert probe.seen[0].shape[1] == (2 if channels == "complex" else 1)


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 50), columns=st.integers(1, 50))
def test_tiles_blend_to_the_whole(rows: int, columns: int) -> None:
    x, probe = random_complex(rows, columns, dtype=SINGLE), Probe(3.0)
    torch.testing.assert_close(as_prior(probe, size=16)(x), 3 * x, rtol=1e-3, atol=1e-4)
    assert all(seen.shape[-2:] == (16, 16) for seen in probe.seen)


def test_adjacent_slices() -> None:
    x = random_complex(4, 8, 8, dtype=SINGLE)
    probe = Probe()
    torch.testing.assert_close(as_prior(probe, "slices")(x), x, rtol=1e-4, atol=1e-5)
    assert probe.seen[0].shape == (4, 3, 8, 8)
    rms = x.abs().square().mean((-2, -1)).sqrt()[:, None, None]
    torch.testing.assert_close(probe.seen[0][2], (x / rms).abs()[1:4])
    torch.testing.assert_close(probe.seen[0][0, 0], probe.seen[0][0, 1])
    torch.testing.assert_close(as_prior(Probe(out_channels=1), "slices")(x).angle(), x.angle())
    with pytest.raises(ConfigError, match="slice, rows, columns"):
        as_prior(probe, "slices")(x[0])


@pytest.mark.parametrize("amplitude", [1e-6, 1e6])
def test_amplitude_does_not_matter(amplitude: float) -> None:
    prior = as_prior(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)))
    x = random_complex(20, 20, dtype=SINGLE)
    torch.testing.assert_close(prior(amplitude * x) / amplitude, prior(x), rtol=1e-3, atol=1e-4)
    assert not prior(torch.zeros_like(x)).any()


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="channels must be one of complex, magnitude, slices"):
        as_prior(Probe(), "colors")
    with pytest.raises(ConfigError, match="stride must be 1 or more"):
        as_prior(Probe(stride=0))
