"""Noise amplification, g-factor and bias of SENSE."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from kascade.data import simulate_head, write_scan
from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError, OutputError
from kascade.recon.noise_maps import noise_figure, noise_file, noise_maps


@pytest.fixture(scope="module")
def scan():
    return simulate_head((3, 64, 64), coils=6, snr=50.0)


def finite(values):
    return values[np.isfinite(values)]


@pytest.mark.parametrize("lam", [0.7, 2.0, 6.0])
def test_lambda_bounds_the_amplification(scan, lam):
    found = noise_maps(scan, 1, MaskSpec(accel=4, acs=16), lam, replicas=64)
    assert finite(found.amplification).max() < lam * 1.35  # the largest of a thousand pixels, each right to 6 %
    assert found.true_acceleration == pytest.approx(64 / 28)


def test_full_sampling_amplifies_nothing(scan):
    found = noise_maps(scan, 1, lam=1e3, replicas=200)
    assert found.gfactor is None and found.accel is None
    assert np.mean(finite(found.amplification)) == pytest.approx(1, abs=0.01)
    assert finite(found.bias).max() < 1e-3


def test_regularization_trades_noise_for_bias(scan):
    weak, strong = (noise_maps(scan, 1, MaskSpec(accel=4, acs=16), lam, replicas=16) for lam in (20.0, 1.0))
    assert np.nanmean(strong.amplification) < 0.7 * np.nanmean(weak.amplification)
    assert np.nanmean(strong.bias) > 2 * np.nanmean(weak.bias)


def test_gfactor_is_that_of_the_nominal_acceleration_and_at_least_1(scan):
    found = noise_maps(scan, 1, MaskSpec(accel=2, acs=16), replicas=2)
    assert found.accel == 2
    assert finite(found.gfactor).min() >= 1 - 1e-4
    assert np.array_equal(np.isnan(found.gfactor), np.isnan(found.amplification))
    assert 0.2 < np.isnan(found.gfactor).mean() < 0.8


@pytest.mark.parametrize("spec", [MaskSpec(accel=3, acs=16), MaskSpec("random", 3, acs=12, seed=1)])
def test_no_closed_form_no_gfactor(scan, spec):
    assert noise_maps(scan, 1, spec, replicas=2).gfactor is None


def test_the_color_scale_ends_at_lambda(scan):
    figure = noise_figure(noise_maps(scan, 1, MaskSpec(accel=2, acs=16), 3.5, replicas=2))
    assert {axes.images[0].get_clim() for axes in figure.axes if axes.images} == {(0.0, 3.5)}
    assert any("3.5 is the bound" in axes.get_ylabel() for axes in figure.axes)


def test_files(scan, tmp_path):
    write_scan(scan, tmp_path / "head.h5")
    out = tmp_path / "g"
    facts = noise_file(tmp_path / "head.h5", out, MaskSpec(accel=2, acs=16), replicas=4)
    assert sorted(path.name for path in out.iterdir()) == ["head.h5", "head.json", "head.png"]
    assert json.loads((out / "head.json").read_text()) == facts
    assert facts["slice"] == 1 and facts["lam"] == 5.0
    with h5py.File(out / "head.h5") as file:
        assert set(file) == {"noise_amplification", "gfactor", "bias"}
        assert file["gfactor"].shape == (64, 64)
        assert np.nanmax(file["gfactor"]) == pytest.approx(facts["gfactor"]["max"])
    with pytest.raises(OutputError, match="exists already"):
        noise_file(tmp_path / "head.h5", out, replicas=4)


def test_a_missing_slice_is_refused_and_leaves_nothing(scan, tmp_path):
    write_scan(scan, tmp_path / "head.h5")
    with pytest.raises(ConfigError, match=r"head\.h5: there is no slice 3; it has 3, counted from 0"):
        noise_file(tmp_path / "head.h5", tmp_path / "g", index=3)
    assert list((tmp_path / "g").iterdir()) == []
