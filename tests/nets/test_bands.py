"""Bands of detail, and networks that work on them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kascade.nets.bands import DETAIL, OnBands, detail_bands
from kascade.nets.cag import CAG, DegradationClassifier
from kascade.nets.restormer import PointwiseConv, Restormer

SMALL = {"width": 8, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 4), "bands": True}


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_bands_add_up_before_they_are_companded() -> None:
    image = noise(2, 2, 24, 16)
    expanded = [band.sign() * torch.expm1(band.abs()) for band in detail_bands(image)]
    torch.testing.assert_close(torch.stack(expanded).sum(0), image)


def test_fine_detail_is_in_the_first_band_and_an_even_image_in_the_last() -> None:
    checkerboard = ((torch.arange(12)[:, None] + torch.arange(12)) % 2)[None, None] - 0.5
    fine, middle, coarse = (band[..., 4:-4, 4:-4].abs().mean() for band in detail_bands(checkerboard))
    assert fine > 5 * middle > 5 * coarse
    fine, middle, coarse = (band.abs().max() for band in detail_bands(torch.ones(1, 1, 12, 12)))
    assert fine == middle == 0 and coarse == pytest.approx(0.6931, abs=1e-4)


def test_a_restormer_on_bands_starts_as_the_identity_and_corrects_every_pixel() -> None:
    torch.manual_seed(0)
    network = Restormer(3, 2, refinement=1, **SMALL)  # type: ignore[arg-type]
    x = noise(1, 3, 32, 48)
    assert network.stride == 16 and torch.equal(network(x), x[:, :2])
    nn.init.normal_(network.last.weight)
    change = (network(x) - x[:, :2]).detach()
    assert change.shape == (1, 2, 32, 48) and bool((change != 0).all())


def test_cag_on_bands_explains_at_full_resolution() -> None:
    torch.manual_seed(0)
    network = CAG(3, 3, refinement=1, **SMALL)  # type: ignore[arg-type]
    network.start_from(DegradationClassifier(3, **SMALL))  # type: ignore[arg-type]
    x = noise(2, 3, 32, 48)
    assert network.stride == network.classifier.stride == 16
    assert network.explanation(x).shape == (2, 1, 32, 48) and network(x).shape == x.shape


def test_a_pointwise_convolution_is_a_convolution() -> None:
    ours, theirs = PointwiseConv(5, 7), nn.Conv2d(5, 7, 1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = noise(2, 5, 6, 4)
    torch.testing.assert_close(ours(x), theirs(x))


class Shift(nn.Module):
    """Adds `amount` to the four pixels that it sees, and keeps what it saw."""

    stride, size = 4, 8

    def __init__(self) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.arange(4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return x[:, :4] + self.amount[:, None, None]


def test_a_network_on_bands_sees_pixels_and_bands_and_adds_to_each_pixel() -> None:
    inner = Shift()
    network, x = OnBands(inner), noise(2, 1, 16, 16)
    assert (network.stride, network.size) == (8, 16)
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat(8, 8)
    torch.testing.assert_close(network(x) - x, expected.expand(2, 1, 16, 16))
    assert inner.seen.shape == (2, OnBands.inputs, 8, 8)
    fine, middle, coarse = (inner.seen[:, n : n + 4] for n in (4, 8, 12))
    for phase, band in zip((fine, middle, coarse), detail_bands(x / DETAIL), strict=True):
        torch.testing.assert_close(phase[:, 1], band[:, 0, ::2, 1::2])
    assert OnBands(nn.Identity()).size is None and OnBands(nn.Identity()).stride == 2
