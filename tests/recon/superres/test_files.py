"""Files of thick slices, and of networks that restore them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.data.nifti import read_volume
from kascade.data.simulation.thick import simulate_thick_file
from kascade.errors import ConfigError, FileFormatError, OutputError
from kascade.recon import get_method
from kascade.recon.models import load_named
from kascade.recon.restoration.restore import restore_file
from kascade.recon.superres import resimulation_error
from kascade.recon.superres.files import super_resolve_file
from kascade.recon.superres.weights import SuperResConfig, build_superres, load_superres, save_superres
from kascade.unroll import load_model
from tests.cli.conftest import small_scan
from tests.heads import head_array, write_head
from tests.tiny_models import save_tiny_model

UNET = SuperResConfig(kind="unet", options={"channels": 2, "levels": 1})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A head and thick slices of it."""
    fine, thick = write_head(tmp_path / "fine.nii.gz", head_array((24, 26, 21))), tmp_path / "thick.nii.gz"
    simulate_thick_file(fine, thick, 4, "z")
    return fine, thick


def saved(path: Path, config: SuperResConfig = UNET, **card: object) -> Path:
    torch.manual_seed(0)
    save_superres(path, build_superres(config), config, card)
    return path


def test_there_and_back_on_the_grid_of_another_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    fine, thick = files
    model = saved(tmp_path / "unet.safetensors", factor=4, profile="gaussian", axis="z")
    out = super_resolve_file(thick, tmp_path / "iso.nii.gz", 4, model=model, like=fine)
    written, truth = read_volume(tmp_path / "iso.nii.gz"), read_volume(fine)
    assert written.data.shape == (24, 26, 21) and out.problems == ()
    np.testing.assert_allclose(written.affine, truth.affine, atol=1e-4)
    assert resimulation_error(written, read_volume(thick), 4) < 0.01
    with pytest.raises(OutputError):
        super_resolve_file(thick, tmp_path / "iso.nii.gz", 4)


def test_a_network_for_something_else_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    model = saved(tmp_path / "unet.safetensors", factor=8, profile="gaussian", axis="z")
    out = super_resolve_file(files[1], tmp_path / "iso.nii.gz", 4, model=model)
    assert out.data.shape == (24, 26, 24) and out.problems == ("the network was trained for factor 8, not 4",)


def test_another_axis_and_other_voxels_than_in_training_are_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    card = {"factor": 4, "profile": "gaussian", "axis": "y", "fits": {"spacing_mm": [0.1, 0.2]}}
    model = saved(tmp_path / "unet.safetensors", **card)
    problems = " ".join(super_resolve_file(files[1], tmp_path / "iso.nii.gz", 4, model=model).problems)
    assert "trained for axis y, not z" in problems and "spacing_mm 0.1 to 0.2, not" in problems


def test_a_suffix_that_cannot_be_written_is_refused_before_any_work(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.nii"):
        super_resolve_file(tmp_path / "absent.nii.gz", tmp_path / "iso.mgz", 4)
    with pytest.raises(ConfigError, match=r"must end in \.nii"):
        restore_file(tmp_path / "absent.nii.gz", tmp_path / "clean.img")


def test_weights_come_back_and_damage_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    path = saved(tmp_path / "unet.safetensors", factor=4)
    found = load_superres(path)
    torch.manual_seed(0)
    for a, b in zip(found.model.parameters(), build_superres(UNET).parameters(), strict=True):
        assert torch.equal(a, b)
    assert found.config == UNET and found.card == {"factor": 4}
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        load_superres(tmp_path / "bad.safetensors")
    generator = SuperResConfig(kind="styleswin", options={"size": 16, "width": 8, "max_width": 8, "latent": 8})
    with pytest.raises(ConfigError, match="a generator"):
        super_resolve_file(files[1], tmp_path / "x.nii.gz", 4, model=saved(tmp_path / "g.safetensors", generator))
    with pytest.raises(ConfigError, match="refuses the options"):
        build_superres(SuperResConfig(kind="transmrsr", options={"size": 20}))


def test_models_of_other_tasks_are_told_apart(files: tuple[Path, Path], tmp_path: Path) -> None:
    superres, cascade = saved(tmp_path / "unet.safetensors", factor=4), save_tiny_model(tmp_path / "c.safetensors")
    assert load_named(superres, {}).task == "super-resolution"
    with pytest.raises(ConfigError, match="is for reconstruction, not for super-resolution"):
        super_resolve_file(files[1], tmp_path / "x.nii.gz", 4, model=cascade)
    with pytest.raises(ConfigError, match="slices are thick: --factor"):
        restore_file(files[1], tmp_path / "x.nii.gz", str(superres))
    with pytest.raises(ConfigError, match="is for super-resolution of images"):
        get_method("unrolled", model=str(superres))(small_scan(), 0)
    with pytest.raises(FileFormatError, match="another task"):
        load_model(superres)
