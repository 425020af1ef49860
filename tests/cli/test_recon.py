"""`kascade recon`."""

from __future__ import annotations

import json
from hashlib import sha256

import h5py
import nibabel
import numpy as np
import pytest
import torch

from kascade.data import Header, load, read_images, write_scan
from kascade.physics import ifft
from kascade.physics.rss import rss
from kascade.recon.models import shipped_models
from tests.cli.conftest import small_scan
from tests.tiny_models import save_tiny_model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_file_becomes_three(kascade, brain, tmp_path):
    out = tmp_path / "out"
    run = kascade("recon", brain, "-o", out, "-m", "sense", "--accel", 2, "--acs", 16, "--lam", 7)
    assert run.code == 0, run.err
    assert names(out) == ["brain.h5", "brain.json", "brain.png"]
    with h5py.File(out / "brain.h5") as file:
        assert file["reconstruction"].shape == (2, 56, 48)
        assert file["reconstruction"].dtype == np.float32
    report = json.loads((out / "brain.json").read_text())
    assert report["method"] == "sense"
    assert report["parameters"]["lam"] == 7
    assert report["true_acceleration"] == pytest.approx(48 / 32)
    assert len(report["iterations"]) == len(report["residuals"]) == len(report["seconds"]) == 2
    assert all(n > 0 for n in report["iterations"]) and report["converged"]
    assert "R=2, true acceleration 1.50" in run.err
    assert (out / "brain.png").read_bytes().startswith(b"\x89PNG")


def test_fully_sampled_zero_filled_is_the_rss(kascade, brain, tmp_path):
    assert kascade("recon", brain, "-o", tmp_path / "out", "-m", "zero-filled").code == 0
    torch.testing.assert_close(read_images(tmp_path / "out" / "brain.h5")[1], rss(ifft(load(brain).kspace[1])))


@pytest.mark.parametrize("method", ["zero-filled", "sense", "wavelet", "tv"])
def test_every_method_resembles_the_truth(kascade, brain, tmp_path, method):
    out = tmp_path / "out"
    run = kascade("recon", brain, "-o", out, "--method", method, "--accel", 2, "--acs", 16)
    assert run.code == 0, run.err
    truth = rss(ifft(load(brain).kspace[0]))
    image = read_images(out / "brain.h5")[0]
    error = torch.linalg.vector_norm(image - truth) / torch.linalg.vector_norm(truth)
    assert error < (0.35 if method == "zero-filled" else 0.12)


def test_complex_nifti_and_crop(kascade, tmp_path):
    header = Header(
        encoded_matrix=(56, 48, 1), recon_matrix=(40, 32, 1), encoded_fov_mm=(56, 96, 5), recon_fov_mm=(56, 64, 5)
    )
    scan = small_scan("cropped")
    write_scan(type(scan).from_arrays(torch.stack(list(scan.kspace)), header=header), tmp_path / "cropped.h5")
    out = tmp_path / "out"
    run = kascade("recon", tmp_path / "cropped.h5", "-o", out, "-m", "sense", "--complex", "--nifti")
    assert run.code == 0, run.err
    assert names(out) == ["cropped.h5", "cropped.json", "cropped.nii.gz", "cropped.png"]
    with h5py.File(out / "cropped.h5") as file:
        stored = file["reconstruction"][()]
    assert stored.shape == (2, 40, 32) and stored.dtype == np.complex64
    volume = nibabel.load(out / "cropped.nii.gz")
    assert volume.shape == (32, 40, 2)
    assert volume.header.get_zooms() == (2, 1, 5)
    np.testing.assert_allclose(volume.get_fdata().transpose(2, 1, 0), np.abs(stored), rtol=1e-5, atol=1e-7)


def test_saved_maps_give_the_same_image(kascade, brain, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    sampling = ("-m", "sense", "--accel", 2, "--acs", 16)
    assert kascade("recon", brain, "-o", first, "--save-maps", *sampling).code == 0
    assert load_maps(first / "maps" / "brain.h5").shape == (2, 4, 56, 48)
    assert kascade("recon", brain, "-o", second, "--maps", first / "maps", *sampling).code == 0
    np.testing.assert_allclose(read_images(second / "brain.h5")[1], read_images(first / "brain.h5")[1], atol=1e-5)


def load_maps(path):
    with h5py.File(path) as file:
        return file["maps"][()]


def test_two_sets_of_maps(kascade, brain, tmp_path):
    run = kascade("recon", brain, "-o", tmp_path / "out", "-m", "sense", "--sets", 2, "--save-maps")
    assert run.code == 0, run.err
    assert load_maps(tmp_path / "out" / "maps" / "brain.h5").shape == (2, 2, 4, 56, 48)
    assert read_images(tmp_path / "out" / "brain.h5").shape == (2, 56, 48)


def test_maps_of_another_matrix_are_refused(kascade, brain, tmp_path):
    np.save(tmp_path / "maps.npy", np.ones((4, 10, 10), np.complex64))
    run = kascade("recon", brain, "-o", tmp_path / "out", "--maps", tmp_path / "maps.npy")
    assert run.code == 2
    assert "(2, 4, 10, 10)" in run.err and "56" in run.err
    assert names(tmp_path / "out") == []


@pytest.fixture
def folder(tmp_path):
    """Two good files, a truncated one, and one that is no k-space."""
    source = tmp_path / "scans"
    source.mkdir()
    for seed, name in enumerate("ab"):
        write_scan(small_scan(name, slices=1, seed=seed), source / f"{name}.h5")
    (source / "bad.h5").write_bytes((source / "a.h5").read_bytes()[:3000])
    (source / "notes.txt").write_text("")
    return source


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_folder_is_done_and_the_bad_file_told_at_the_end(kascade, folder, tmp_path, workers):
    out = tmp_path / "out"
    run = kascade("recon", folder, "-o", out, "-m", "zero-filled", "--workers", workers)
    assert run.code == 1
    assert names(out) == ["a.h5", "a.json", "a.png", "b.h5", "b.json", "b.png"]
    lines = run.err.splitlines()
    assert lines[-2].startswith(f"kascade: error: {folder / 'bad.h5'}")
    assert lines[-1] == "kascade: error: 1 of 3 files failed"
    assert f"{folder / 'notes.txt'}: passed over" in run.err


def test_resume_does_only_what_is_missing(kascade, folder, tmp_path):
    (folder / "bad.h5").unlink()
    out = tmp_path / "out"
    command = ("recon", folder, "-o", out, "-m", "zero-filled")
    assert kascade(*command).code == 0
    kept = (out / "a.json").stat().st_mtime_ns
    for left in out.glob("b.*"):
        left.unlink()
    refused = kascade(*command)
    assert refused.code == 1
    assert "a.h5: exists already" in refused.err and "b.h5: exists" not in refused.err
    for left in out.glob("b.*"):
        left.unlink()
    run = kascade(*command, "--resume")
    assert run.code == 0, run.err
    assert f"{folder / 'a.h5'}: done already" in run.err
    assert (out / "a.json").stat().st_mtime_ns == kept
    assert (out / "b.json").exists()

    other = kascade(*command, "--resume", "--accel", 2, "--acs", 8)
    assert other.code == 1
    assert "other settings" in other.err
    assert (out / "a.json").stat().st_mtime_ns == kept


def test_nothing_is_overwritten_without_force(kascade, brain, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "brain.png").write_text("mine")
    run = kascade("recon", brain, "-o", out, "-m", "zero-filled")
    assert run.code == 1
    assert "brain.png: exists already" in run.err
    assert names(out) == ["brain.png"] and (out / "brain.png").read_text() == "mine"
    assert kascade("recon", brain, "-o", out, "-m", "zero-filled", "--force").code == 0
    assert names(out) == ["brain.h5", "brain.json", "brain.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "magic"), "there is no method 'magic'"),
        (("--method", "zero-filled", "--lam", 3), "has no option lam"),
        (("--acs", 16), "--acs undersamples retrospectively and needs --accel R"),
        (("--accel", 2, "--acs", 8, "--center-fraction", 0.1), "give only one"),
        (("--accel", 2, "--mask", "spiral"), "mask 'spiral' is unknown"),
        (("--method", "sense", "--lam", -1), "lam must be positive"),
        (("--method", "sense", "--model", "x"), "--method unrolled would take model"),
        (("--method", "sense", "--trace", "t"), "method 'sense' is no cascade"),
        (("--model", "magic"), "there is no model 'magic'"),
        (("--model", "magic.safetensors"), "there is no such file"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(kascade, brain, tmp_path, options, message):
    run = kascade("recon", brain, "-o", tmp_path / "out", *options)
    assert run.code == 2
    assert message in run.err and run.err.count("\n") == 1
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []


def test_an_all_zero_slice_is_named_and_stays_zero(kascade, tmp_path):
    kspace = torch.stack(list(small_scan().kspace))
    kspace[1] = 0
    write_scan(type(small_scan()).from_arrays(kspace), tmp_path / "zero.h5")
    run = kascade("recon", tmp_path / "zero.h5", "-o", tmp_path / "out")
    assert run.code == 0
    assert "warning: " in run.err and "slice 1 of k-space is all zero, and so is its image" in run.err
    images = read_images(tmp_path / "out" / "zero.h5")
    assert images[0].any() and not images[1].any()


def test_a_random_mask_follows_the_seed(kascade, brain, tmp_path):
    command = ("recon", brain, "-m", "zero-filled", "--accel", 3, "--mask", "random", "--center-fraction", 0.2)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert kascade(*command, "--seed", seed, "-o", tmp_path / name).code == 0
    a, b, c = (read_images(tmp_path / name / "brain.h5")[0] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.fixture
def model(tmp_path):
    """File of a tiny trained model."""
    return save_tiny_model(tmp_path / "tiny.safetensors")


UNDERSAMPLED = ("--accel", 2, "--acs", 16)


def test_a_model_reconstructs_and_is_told(kascade, brain, model, tmp_path):
    out = tmp_path / "out"
    run = kascade("recon", brain, "-o", out, "--model", model, *UNDERSAMPLED)
    assert run.code == 0, run.err
    assert "unrolled by tiny" in run.err
    report = json.loads((out / "brain.json").read_text())
    assert report["method"] == "unrolled"
    assert report["model"] == {"name": "tiny", "sha256": sha256(model.read_bytes()).hexdigest(), "file": str(model)}
    assert report["slices"][1]["lam"] == pytest.approx([6, 1], rel=1e-5)
    assert all(residual > 0 for residual in report["residuals"])
    with h5py.File(out / "brain.h5") as file:
        assert (file.attrs["model"], file.attrs["model_sha256"]) == ("tiny", report["model"]["sha256"])


def test_trace_holds_every_step_of_every_slice(kascade, brain, model, tmp_path):
    out, trace = tmp_path / "out", tmp_path / "out" / "trace"
    command = ("recon", brain, "-o", out, "--model", model, "--trace", trace, *UNDERSAMPLED)
    run = kascade(*command, "--complex")
    assert run.code == 0, run.err
    assert names(trace) == ["brain.h5", "brain.png"]
    assert names(out) == ["brain.h5", "brain.json", "brain.png", "trace"]
    report = json.loads((out / "brain.json").read_text())
    with h5py.File(trace / "brain.h5") as file, h5py.File(out / "brain.h5") as result:
        assert file["x"].shape == file["z"].shape == (2, 2, 56, 48)
        np.testing.assert_allclose(file["z"][:, -1], result["reconstruction"], rtol=1e-5, atol=1e-7)
        assert file["lam"][1] == pytest.approx(report["slices"][1]["lam"])
        assert file["cg_iterations"][0].tolist() == report["slices"][0]["cg_iterations"]
        assert file["residual"][:, -1] == pytest.approx(report["residuals"])
        assert file.attrs["model_sha256"] == report["model"]["sha256"]
        assert file["x"].attrs["axes"] == "slice,iteration,rows,columns"
    assert (trace / "brain.png").read_bytes().startswith(b"\x89PNG")

    refused = kascade(*command)
    assert refused.code == 1 and "exists already" in refused.err
    assert kascade(*command, "--force").code == 0
    assert "is a result, too" in kascade("recon", brain, "-o", out, "--model", model, "--trace", out, "--force").err


def test_resume_knows_the_model(kascade, brain, model, tmp_path):
    command = ("recon", brain, "-o", tmp_path / "out", "--model", model, "--resume", *UNDERSAMPLED)
    assert kascade(*command).code == 0
    assert "done already" in kascade(*command).err
    model.unlink()
    save_tiny_model(model, seed=1)
    other = kascade(*command)
    assert other.code == 1 and "other settings" in other.err


def test_the_default_method(kascade, brain, tmp_path, monkeypatch):
    """Sense without a shipped model, unrolled with one."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr("kascade.recon.models.shipped_folder", lambda: folder)
    for name, method in (("without", "sense"), ("with", "unrolled")):
        assert kascade("recon", brain, "-o", tmp_path / name, *UNDERSAMPLED).code == 0
        assert json.loads((tmp_path / name / "brain.json").read_text())["method"] == method
        folder.mkdir(exist_ok=True)
        if name == "without":
            save_tiny_model(folder / "brain.safetensors")


def test_lam_with_the_default_method_says_which_methods_take_it(kascade, brain, tmp_path, monkeypatch):
    """A user who gave --lam and no --method has not heard of the default before."""
    save_tiny_model(tmp_path / "brain.safetensors")
    monkeypatch.setattr("kascade.recon.models.shipped_folder", lambda: tmp_path)
    run = kascade("recon", brain, "-o", tmp_path / "out", "--lam", 5, *UNDERSAMPLED)
    assert run.code == 2 and run.err.count("\n") == 1 and not (tmp_path / "out").exists()
    assert "a trained model brings its own lambdas" in run.err
    assert "--method sense or wavelet or tv would take lam" in run.err


def test_the_shipped_model_needs_no_options(kascade, brain, tmp_path):
    out = tmp_path / "out"
    run = kascade("recon", brain, "-o", out, *UNDERSAMPLED)
    assert run.code == 0, run.err
    report = json.loads((out / "brain.json").read_text())
    assert report["method"] == "unrolled" and report["model"]["name"] in shipped_models()
    truth = rss(ifft(load(brain).kspace[0]))
    image = read_images(out / "brain.h5")[0]
    assert torch.linalg.vector_norm(image - truth) / torch.linalg.vector_norm(truth) < 0.12


def test_a_dry_run_tells_and_writes_nothing(kascade, brain, tmp_path):
    run = kascade(
        "recon", brain, "-o", tmp_path / "out", "--method", "sense", "--accel", "4", "--acs", "16", "--dry-run"
    )
    assert run.code == 0 and "brain.h5" in run.out and "MiB" in run.out and "nothing was written" in run.err
    assert not (tmp_path / "out").exists()
    (tmp_path / "bad.h5").write_text("no")
    run = kascade("recon", tmp_path / "bad.h5", "-o", tmp_path / "out", "--dry-run")
    assert run.code != 0 and "bad.h5" in run.err
