from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kascade.errors import ConfigError, FileFormatError
from kascade.recon import get_method, models
from kascade.recon.model_files import load_any
from kascade.recon.restoration import RestorationConfig, RestorationModel, build_network, load_restorer
from kascade.recon.restoration.config import KINDS
from kascade.unroll import load_model
from tests.cli.conftest import small_scan
from tests.recon.restoration.conftest import CARD, SIZES, save_small
from tests.tiny_models import save_tiny_model


@pytest.mark.parametrize("kind", KINDS)
def test_networks_are_written_and_read(tmp_path: Path, kind: str) -> None:
    path = save_small(tmp_path / "a.safetensors", kind, seed=3)
    found = load_restorer(path)
    assert found.card == CARD and found.config.kind == kind and not found.model.training
    x = torch.randn(1, 3, 32, 32)
    same, other = load_restorer(path).model, build_network(found.config).eval()
    torch.testing.assert_close(found.model(x), same(x))
    assert not torch.allclose(found.model(x), other(x), atol=1e-4)


def test_files_of_cascades_and_of_restoration_are_told_apart(tmp_path: Path) -> None:
    cascade, cag = save_tiny_model(tmp_path / "a.safetensors"), save_small(tmp_path / "b.safetensors")
    assert not isinstance(load_any(cascade), RestorationModel) and isinstance(load_any(cag), RestorationModel)
    with pytest.raises(FileFormatError, match="expected one of restoration"):
        load_restorer(cascade)
    with pytest.raises(FileFormatError):
        load_model(cag)
    assert models.load_named(cag, {}).task == "restoration"
    assert models.load_named(cascade, {}).task == "reconstruction"
    scan = small_scan()
    with pytest.raises(ConfigError, match="use kascade restore"):
        get_method("unrolled", model=str(cag))(scan, 0)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save_small(tmp_path / "a.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="damaged"):
        load_restorer(path)
    with pytest.raises(FileFormatError, match="no such file"):
        load_any(tmp_path / "absent.safetensors")


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigError, match="'cag' refuses the options"):
        build_network(RestorationConfig(kind="cag", options={**SIZES["cag"], "drop": 1.5}))
    with pytest.raises(ConfigError, match="'hinet' refuses the options"):
        build_network(RestorationConfig(kind="hinet", options={"breadth": 3}))


def test_shipped_networks_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "shipped_folder", lambda: tmp_path)
    monkeypatch.delenv(models.FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "restoration").mkdir()
    save_small(tmp_path / "restoration" / "cag.safetensors")
    assert models.find_model("cag") == tmp_path / "restoration" / "cag.safetensors"
    assert not models.shipped_models() and models.default_method() == "sense"
