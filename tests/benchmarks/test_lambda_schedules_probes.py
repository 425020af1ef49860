"""What the lambda benchmark tests on."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from kascade.benchmarks import lambda_schedules_probes
from kascade.benchmarks.lambda_schedules import base_recipe
from kascade.benchmarks.lambda_schedules_probes import make_probes, measured_scan, phantom_scan
from kascade.benchmarks.lambda_schedules_sweep import sweep_probes
from kascade.benchmarks.lambda_sweep import lambda_sweep
from kascade.data import Scan
from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError
from kascade.recon import get_method
from kascade.report.head_score import score_against_rss
from tests.benchmarks.lambda_tiny import make_tiny, tiny_recipe, write_recipe
from tests.data.files import write_cfl


def write_volume(path: Path, value: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = np.zeros((40, 44, 30), np.float32)
    volume[10:30, 8:36, 5:25] = value
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([3.0, 3.0, 3.0, 1.0])), path)


def test_probes_are_phantoms_and_the_volumes_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(monkeypatch)
    write_volume(tmp_path / "t1w/sub-9/anat.nii.gz")
    write_volume(tmp_path / "t1w/sub-8/anat.nii.gz")
    recipe, _ = base_recipe(write_recipe(tmp_path), tmp_path)
    probes = make_probes(recipe, tmp_path)
    assert list(dict.fromkeys(probe.scan for probe in probes)) == ["phantom 1", "phantom 2", "sub-9/anat"]
    assert [p.accel for p in probes] == [4, 6] * 4
    assert len({p.slice for p in probes if p.scan == "sub-9/anat"}) == 2
    for probe in probes:
        assert not probe.measured and probe.reference.max() > 0
        assert probe.problem.info["maps"] == "espirit" and probe.problem.info["whitening"] == "stored"
        mask = probe.problem.E.mask
        assert mask is not None and bool(mask[:: probe.accel].all()) and float(mask.sum()) < mask.numel() / 1.5
    write_volume(tmp_path / "t1w/sub-9/anat.nii.gz", value=0)
    with pytest.raises(ConfigError):
        make_probes(recipe, tmp_path)


def test_without_data_there_are_phantoms_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(monkeypatch)
    probes = make_probes(tiny_recipe(), None)
    assert [(p.scan, p.accel) for p in probes] == [
        ("phantom 1", 4),
        ("phantom 1", 6),
        ("phantom 2", 4),
        ("phantom 2", 6),
    ]
    assert not np.array_equal(probes[0].reference, probes[2].reference)


def test_scores_are_those_of_the_quality_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(monkeypatch, 1)
    probe = make_probes(tiny_recipe(), None)[0]
    image = torch.randn(48, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)) + 2
    found = score_against_rss(probe.problem.final(image).numpy(), probe.reference)
    assert probe.psnr(image) == pytest.approx(found["psnr"]) and probe.ssim(image) == pytest.approx(found["ssim"])
    assert probe.psnr(3j * image) == pytest.approx(probe.psnr(image))


def write_measured(folder: Path) -> Scan:
    """kspace/full.cfl: a phantom whose noise nobody knows."""
    (folder / "kspace").mkdir()
    scan = phantom_scan()
    kspace = scan.kspace[0].numpy()
    write_cfl(folder / "kspace" / "full", kspace.transpose(1, 2, 0), (1, *kspace.shape[1:], kspace.shape[0]))
    return scan


def test_the_measured_scan_is_scored_against_its_own_kspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(monkeypatch, 1)
    assert measured_scan(tmp_path) is None and measured_scan(None) is None
    scan = write_measured(tmp_path)
    probes = make_probes(tiny_recipe(), tmp_path)
    assert [(p.scan, p.measured) for p in probes] == [("phantom 1", False)] * 2 + [("full", True)] * 2
    found = measured_scan(tmp_path)
    assert found is not None
    torch.testing.assert_close(found.kspace[0], scan.kspace[0])
    sweep = sweep_probes(probes[2:], [1.0, 4.0])
    masks = [MaskSpec(accel=accel, acs=12) for accel in (4, 6)]
    for ours, theirs in zip(sweep, lambda_sweep([found], masks, [1.0, 4.0]), strict=True):
        assert (ours.accel, ours.lam, ours.slices) == (theirs.accel, theirs.lam, theirs.slices)
        assert (ours.psnr, ours.ssim) == pytest.approx((theirs.psnr, theirs.ssim), rel=1e-5)
        assert ours.true_acceleration == pytest.approx(theirs.true_acceleration, abs=1e-4)


def test_the_sweep_takes_one_slice_of_each_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny(monkeypatch)
    probes = make_probes(tiny_recipe(), None)
    points = sweep_probes([*probes, *probes], [2.0])
    assert [(point.accel, point.slices) for point in points] == [(4, 2), (6, 2)]
    image = get_method("sense", lam=2.0)(lambda_schedules_probes.undersampled(phantom_scan(0), 4), 0).image
    other = get_method("sense", lam=2.0)(lambda_schedules_probes.undersampled(phantom_scan(1), 4), 0).image
    scores = [score_against_rss(i.numpy(), p.reference)["psnr"] for i, p in ((image, probes[0]), (other, probes[2]))]
    assert points[0].psnr == pytest.approx(np.mean(scores), abs=1e-3)
