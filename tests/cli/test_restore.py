"""`kascade restore`, and what trains and scores it."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import yaml

from kascade.recon.superres.weights import SuperResConfig, build_superres, save_superres
from tests.heads import head_array, write_head
from tests.recon.restoration.conftest import SIZES, save_small
from tests.train.restoration.tiny import RECIPE, write_heads


@pytest.fixture
def cag(tmp_path):
    return save_small(tmp_path / "cag.safetensors")


def test_a_volume_is_restored_and_explained(kascade, tmp_path, cag):
    source = write_head(tmp_path / "a.nii.gz", head_array().astype(np.uint16))
    run = kascade("restore", source, "-o", tmp_path / "b.nii.gz", "--model", cag, "--explain")
    assert run.code == 0, run.err
    assert nib.load(tmp_path / "b.nii.gz").get_data_dtype() == np.uint16
    assert (tmp_path / "b_cag.nii.gz").exists() and "mean probabilities: motion 0." in run.err
    again = kascade("restore", source, "-o", tmp_path / "b.nii.gz", "--model", cag)
    assert again.code == 1 and "exists" in again.err


def test_a_series_a_wrong_model_and_a_missing_file_are_told_in_one_line(kascade, tmp_path, cag):
    series = write_head(tmp_path / "bold.nii.gz", np.ones((8, 8, 4, 3), np.float32))
    for arguments, message in (
        ((series, "--model", cag), "is not 3-D; extract one volume first"),
        ((tmp_path / "absent.nii.gz", "--model", cag), "no such file"),
        ((series, "--model", tmp_path / "absent.safetensors"), "there is no such file"),
    ):
        run = kascade("restore", *arguments, "-o", tmp_path / "b.nii.gz")
        assert run.code == 2 and message in run.err and len(run.err.splitlines()) == 1
    assert not (tmp_path / "b.nii.gz").exists()


def test_images_are_scored_without_a_reference(kascade, tmp_path):
    source = write_head(tmp_path / "a.nii.gz")
    run = kascade("evaluate", "--no-reference", source)
    assert run.code == 0 and "Tenengrad" in run.out and "a.nii.gz" in run.out
    found = json.loads(kascade("evaluate", "--no-reference", tmp_path, "--json").out)["volumes"]["a.nii.gz"]
    assert set(found) == {"tenengrad", "entropy", "range"} and 0 < found["range"]["mean"] <= 255
    brighter = write_head(tmp_path / "b.nii.gz", 3 * head_array())
    other = json.loads(kascade("evaluate", "--no-reference", brighter, "--json").out)["volumes"]["b.nii.gz"]
    assert other["entropy"]["mean"] == pytest.approx(found["entropy"]["mean"])
    assert kascade("evaluate", source).code == 2
    both = kascade("evaluate", "--no-reference", source, source)
    assert both.code == 2 and "leave" in both.err
    write_head(tmp_path / "zero.nii.gz", np.zeros((8, 8, 3), np.float32))
    some = kascade("evaluate", "--no-reference", tmp_path)
    assert some.code == 1 and "zero.nii.gz: every voxel is 0" in some.err and "a.nii.gz" in some.out


def test_classifier_and_cycle_are_trained_from_recipes_and_listed(kascade, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KASCADE_MODELS", raising=False)
    data = write_heads(tmp_path / "data")
    steps = {**RECIPE["training"], "steps": 2}
    front = {**RECIPE, "name": "front", "model": {"kind": "classifier", "options": SIZES["classifier"]}}
    cycle = {**RECIPE, "name": "cycle", "model": {"kind": "cag", "options": SIZES["cag"]}}
    cycle["training"] = {**steps, "start_from": "runs/front/best.safetensors"}
    for content in ({**front, "training": steps}, cycle):
        path = tmp_path / f"{content['name']}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        run = kascade("train", path, "--data", data, "--accelerator", "cpu")
        assert run.code == 0, run.err
        assert run.out.startswith(f"runs/{content['name']}/best.safetensors: ")
    assert "dB, SSIM" in run.out and "AUC" in run.out
    listed = kascade("models")
    assert "cycle" in listed.out and "front" in listed.out and "warning" not in listed.err
    source = data / "heads" / "h3.nii.gz"
    assert kascade("restore", source, "-o", "clean.nii.gz", "--model", "cycle").code == 0
    assert kascade("restore", source, "-o", "no.nii.gz", "--model", "front").code == 2


def test_thick_slices_become_thin_ones(kascade, tmp_path):
    source = write_head(tmp_path / "fine.nii.gz", head_array((24, 26, 21)))
    thick, iso = tmp_path / "thick.nii.gz", tmp_path / "iso.nii.gz"
    assert kascade("simulate-thick", source, "-o", thick, "--factor", 4, "--axis", "z").code == 0
    wrong = kascade("restore", thick, "-o", iso, "--like", source)
    assert wrong.code == 2 and "add --factor" in wrong.err and not iso.exists()
    run = kascade("restore", thick, "-o", iso, "--model", "cubic", "--factor", 4, "--like", source)
    assert run.code == 0 and "24 x 26 x 21 voxels" in run.err
    config = SuperResConfig(kind="unet", options={"channels": 2, "levels": 1})
    model = tmp_path / "unet.safetensors"
    save_superres(model, build_superres(config), config, {"factor": 4, "profile": "gaussian"})
    run = kascade("restore", thick, "-o", tmp_path / "b.nii.gz", "--model", model, "--factor", 4)
    assert run.code == 0 and "24 x 26 x 24 voxels" in run.err
    along = kascade("restore", thick, "-o", tmp_path / "d.nii.gz", "--model", "cubic", "--factor", 2, "--axis", "x")
    assert along.code == 0 and "48 x 26 x 6 voxels" in along.err
    alone = kascade("restore", thick, "-o", tmp_path / "e.nii.gz", "--axis", "x")
    assert alone.code == 2 and "add --factor" in alone.err
    told = kascade("restore", thick, "-o", tmp_path / "c.nii.gz", "--model", model, "--factor", 4, "--explain")
    assert told.code == 2 and "without --factor" in told.err


@pytest.mark.parametrize(("factor", "told"), [(3, "factor 4, not 3"), (4, None), (8, None), (7, "factor 8, not 7")])
def test_by_default_the_network_of_the_nearest_factor_works(kascade, tmp_path, factor, told):
    source = write_head(tmp_path / "fine.nii.gz", head_array((32, 36, 33)))
    thick, iso = tmp_path / "thick.nii.gz", tmp_path / "iso.nii.gz"
    assert kascade("simulate-thick", source, "-o", thick, "--factor", factor, "--axis", "z").code == 0
    run = kascade("restore", thick, "-o", iso, "--factor", factor, "--like", source)
    assert run.code == 0, run.err
    assert ("the network was trained for" in run.err) == (told is not None) and (told or "") in run.err


def test_the_networks_that_come_along_win_over_the_users_own_of_that_name(kascade, tmp_path, monkeypatch):
    """Who trained the recipes of the shipped models has files of the same names in ./runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/cag").mkdir(parents=True)
    save_small(tmp_path / "runs/cag/best.safetensors")
    source = write_head(tmp_path / "a.nii.gz", head_array((48, 40, 4)))
    run = kascade("restore", source, "-o", "b.nii.gz", "--explain")
    assert run.code == 0 and "mean probabilities: motion" in run.err
    named = kascade("restore", source, "-o", "c.nii.gz", "--model", "cag")
    assert named.code == 2 and "ambiguous" in named.err
