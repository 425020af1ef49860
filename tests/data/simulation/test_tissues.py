from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.anatomy import Head
from kascade.data.simulation.tissues import TISSUES, tissue_fractions

X = torch.linspace(-100, 100, 200)
Y = torch.linspace(115, -115, 230)
PIXEL = (X[1] - X[0]).item() * (Y[0] - Y[1]).item()


def fractions(seed: int, z: float) -> dict[str, torch.Tensor]:
    return dict(zip(TISSUES, tissue_fractions(Head.random(seed), X, Y, z), strict=True))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.floats(-4, 52))
def test_fractions_are_a_partition_of_the_head(seed: int, z: float) -> None:
    parts = tissue_fractions(Head.random(seed), X, Y, z)
    total = parts.sum(0)
    assert (parts >= 0).all()
    assert (total <= 1 + 1e-5).all()
    assert (total[:3] == 0).all()
    assert total[115, 100].item() == pytest.approx(1, abs=1e-5)
    core = (X[None, :] ** 2 + Y[:, None] ** 2) < 40**2
    assert (total[core] > 1 - 1e-5).all()


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6))
def test_areas_are_those_of_a_human_head(seed: int) -> None:
    area = {tissue: part.sum().item() * PIXEL / 100 for tissue, part in fractions(seed, 4.0).items()}  # cm^2
    head, brain = sum(area.values()), area["gray"] + area["white"] + area["nuclei"] + area["thalamus"]
    assert 180 < head < 340
    assert 90 < brain < 210
    assert 0.35 < area["gray"] / area["white"] < 1.6
    assert all(area[tissue] > 0 for tissue in TISSUES)


def test_layers_come_in_their_order() -> None:
    parts = fractions(1, 40.0)
    column = 100
    first = [int((parts[t][:, column] > 0.5).nonzero()[0]) for t in ("skin", "fat", "bone", "marrow", "csf", "gray")]
    assert first == sorted(first)


def test_ventricles_and_nuclei_are_where_they_belong() -> None:
    parts = fractions(0, 4.0)
    x, y = X[None, :].expand(230, -1), Y[:, None].expand(-1, 200)
    middle = (x.abs() < 35) & (y.abs() < 55)
    assert parts["csf"][middle].sum() * PIXEL > 150
    assert parts["thalamus"][y < -60].sum() == 0
    for tissue in ("thalamus", "pallidum", "nuclei"):
        left, right = (parts[tissue][side].sum().item() for side in (x < 0, x > 0))
        assert left == pytest.approx(right, rel=0.35)
    assert fractions(0, 45.0)["thalamus"].sum() == 0


def test_edges_are_smooth_where_pixels_are_large() -> None:
    head = Head.random(0)
    coarse = torch.arange(-120.0, 121, 6)
    fine = torch.arange(-122.5, 123, 1)
    small = tissue_fractions(head, fine, -fine, 4.0)
    pooled = torch.nn.functional.avg_pool2d(small[None, :, :246, :246], 6)[0]
    assert (tissue_fractions(head, coarse, -coarse, 4.0) - pooled[:, :41, :41]).abs().mean() < 0.02
