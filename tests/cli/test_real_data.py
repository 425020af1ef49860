"""Commands on measured k-space: from a BART file to a scored image."""

from __future__ import annotations

import json

import pytest

from kascade.data import load, read_images
from kascade.report import score_against_kspace


@pytest.fixture
def full(kascade, real_data, tmp_path):
    """The fully sampled slice, converted."""
    path = tmp_path / "full.h5"
    assert kascade("convert", real_data / "kspace" / "full.cfl", path).code == 0
    return path


def test_convert_and_reconstruct(kascade, full, tmp_path):
    out = tmp_path / "out"
    run = kascade("recon", full, "-o", out, "--method", "sense", "--lam", 5, "--accel", 4, "--acs", 24)
    assert run.code == 0, run.err
    report = json.loads((out / "full.json").read_text())
    assert report["true_acceleration"] == pytest.approx(180 / 63)
    image = read_images(out / "full.h5")[0]
    assert score_against_kspace(image.numpy(), load(full).kspace[0].numpy())["psnr"] >= 30.5


def test_inspect_finds_nothing_wrong(kascade, full):
    facts = json.loads(kascade("inspect", full, "--json").out)
    assert facts["problems"] == []
    assert (facts["coils"], facts["matrix"]) == (8, [230, 180])


def test_a_file_undersampled_by_the_scanner_needs_no_options(kascade, real_data, full, tmp_path):
    source = real_data / "kspace" / "und2x2.cfl"
    run = kascade("recon", source, "-o", tmp_path / "out", "--method", "wavelet")
    assert run.code == 0, run.err
    assert "mask inferred from the zeros of k-space" in run.err
    image = read_images(tmp_path / "out" / "und2x2.h5")[0]
    assert score_against_kspace(image.numpy(), load(full).kspace[0].numpy())["psnr"] >= 36


def test_two_sets_of_maps_where_the_head_wraps_around(kascade, real_data, tmp_path):
    kspace = real_data / "kspace" / "brain_alias_8ch.npy"
    scores = {}
    for sets in (1, 2):
        out = tmp_path / str(sets)
        how = ("--axes", "coil,rows,columns", "--sets", sets, "--method", "sense", "--lam", 50)
        run = kascade("recon", kspace, "-o", out, *how)
        assert run.code == 0, run.err
        image = read_images(out / "brain_alias_8ch.h5")[0].numpy()
        full = load(kspace, "coil,rows,columns").kspace[0].numpy()
        scores[sets] = score_against_kspace(image, full)["rss_psnr"]
    assert scores[2] >= 41 > scores[1]


def test_low_field_single_coil(kascade, real_data, tmp_path):
    source = real_data / "lowfield" / "brain_fse_0p055T_kspace.npy"
    assert kascade("recon", source, "-o", tmp_path / "refused").code == 2
    run = kascade("recon", source, "-o", tmp_path / "out", "--axes", "slice,rows,columns", "-m", "zero-filled")
    assert run.code == 0, run.err
    assert read_images(tmp_path / "out" / f"{source.stem}.h5").shape == (4, 128, 126)


def test_simulate_from_a_volume(kascade, real_data, tmp_path):
    source = real_data / "t1w" / "sub-01_T1w.nii.gz"
    run = kascade("simulate", source, "-o", tmp_path / "sim.h5", "--coils", 4, "--snr", 30, "--slices", "90:91")
    assert run.code == 0, run.err
    assert load(tmp_path / "sim.h5").kspace.shape == (1, 4, 288, 288)
