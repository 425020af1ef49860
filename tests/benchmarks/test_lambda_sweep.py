"""Image quality against lambda."""

from __future__ import annotations

import csv
import io

import pytest
import torch

from kascade.benchmarks.lambda_sweep import best, lambda_sweep, sweep_csv, sweep_figure
from kascade.data import simulate_head
from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError

LAMS = [0.3, 1.0, 3.0, 10.0, 60.0]


@pytest.fixture(scope="module")
def scan():
    return simulate_head((1, 96, 96), coils=6, snr=25.0)


@pytest.fixture(scope="module")
def points(scan):
    return lambda_sweep([scan], [MaskSpec(accel=3, acs=20), MaskSpec(accel=5, acs=20)], LAMS)


def test_the_best_lambda_lies_between_smooth_and_noisy(points):
    """Nickel's Fig. 3: quality rises with lambda, then falls as noise is amplified."""
    for accel in (3, 5):
        assert LAMS[0] < best(points, accel).lam < LAMS[-1]
    assert best(points, 3).psnr > best(points, 5).psnr


def test_points_are_complete_and_in_order(points):
    assert [(point.accel, point.lam) for point in points] == [(accel, lam) for accel in (3, 5) for lam in LAMS]
    assert points[0].true_acceleration < points[-1].true_acceleration


def test_slices_are_averaged(scan, points):
    both = lambda_sweep([scan, scan], [MaskSpec(accel=3, acs=20)], LAMS[:2])
    assert [point.slices for point in both] == [2, 2]
    assert both[1].psnr == pytest.approx(points[1].psnr, abs=1e-6)


def test_csv_holds_every_point(points):
    rows = list(csv.DictReader(io.StringIO(sweep_csv(points))))
    assert [float(row["psnr"]) for row in rows] == pytest.approx([point.psnr for point in points], rel=1e-5)
    assert set(rows[0]) == {"accel", "true_acceleration", "lam", "psnr", "ssim", "iterations", "slices"}


def test_figure_has_a_curve_for_each_acceleration(points):
    figure = sweep_figure(points)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [label.split(" (")[0] for label in labels] == ["R = 3", "R = 5"]


def test_undersampled_scans_and_bad_lambdas_are_refused(scan):
    mask = torch.ones(96)
    mask[10] = 0
    with pytest.raises(ConfigError, match="fully sampled"):
        lambda_sweep([scan.undersample(mask)], [MaskSpec(accel=3)], LAMS)
    with pytest.raises(ConfigError, match="must be positive"):
        lambda_sweep([scan], [MaskSpec(accel=3)], [0.0])
    with pytest.raises(ConfigError, match="no scan"):
        lambda_sweep([], [MaskSpec(accel=3)], LAMS)


@pytest.mark.parametrize("method", ["wavelet", "tv"])
def test_the_weights_of_other_methods_can_be_swept(method: str) -> None:
    scan = simulate_head((1, 64, 64), coils=4, seed=1)
    points = lambda_sweep([scan], [MaskSpec("uniform", 2, acs=16)], [0.003, 0.3], method=method)
    assert points[0].psnr > points[1].psnr + 3
