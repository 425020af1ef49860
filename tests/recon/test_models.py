"""Finding trained models, and choosing one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from kascade.errors import ConfigError, FileFormatError
from kascade.recon import models
from tests.tiny_models import CARD, save_tiny_model

DATA = {"acceleration": 2.5, "coils": 4.0}


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder that stands for that of the shipped models; still empty."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(models, "shipped_folder", lambda: folder)
    monkeypatch.delenv(models.FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def run_folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    return save_tiny_model(folder / name / "best.safetensors")


def test_models_of_the_user_are_found(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(tmp_path / "runs", "brain-1")
    own = tmp_path / "own"
    run_folder(own, "knee-3")
    save_tiny_model(own / "mine.safetensors")
    monkeypatch.setenv(models.FOLDER_VARIABLE, str(own))
    assert sorted(models.found_models().values()) == ["brain-1", "knee-3", "mine"]
    assert models.find_model("mine") == own / "mine.safetensors"
    assert models.find_model("brain-1").resolve() == tmp_path / "runs" / "brain-1" / "best.safetensors"
    assert models.find_model(own / "mine.safetensors") == own / "mine.safetensors"


def test_a_folder_of_models_that_is_that_of_the_runs_is_listed_once(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder(tmp_path / "runs", "brain-1")
    monkeypatch.setenv(models.FOLDER_VARIABLE, str(tmp_path / "runs"))
    assert models.found_models() == {tmp_path / "runs" / "brain-1" / "best.safetensors": "brain-1"}


def test_a_wrong_name_tells_which_there_are(shipped: Path, tmp_path: Path) -> None:
    save_tiny_model(shipped / "brain.safetensors")
    with pytest.raises(ConfigError, match="there is no model 'magic'; there are brain"):
        models.find_model("magic")
    for missing in ("magic.safetensors", "runs/magic"):
        with pytest.raises(ConfigError, match="there is no such file"):
            models.find_model(missing)


def test_a_name_of_two_models_must_be_said_as_a_file(shipped: Path, tmp_path: Path) -> None:
    save_tiny_model(shipped / "brain.safetensors")
    run_folder(tmp_path / "runs", "brain")
    with pytest.raises(ConfigError, match=r"'brain' is ambiguous: .*name the file"):
        models.find_model("brain")


def test_a_wrong_folder_is_told(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.FOLDER_VARIABLE, "nowhere")
    with pytest.raises(ConfigError, match=r"\$KASCADE_MODELS=nowhere is not a folder"):
        models.found_models()


def test_the_default_is_unrolled_where_a_model_is_shipped(shipped: Path) -> None:
    assert models.default_method() == "sense"
    assert "unrolled" not in models.ready_methods() and "wavelet" in models.ready_methods()
    with pytest.raises(ConfigError, match="no model came with this installation"):
        models.load_named(None, DATA)
    save_tiny_model(shipped / "brain.safetensors")
    assert models.default_method() == "unrolled"
    assert "unrolled" in models.ready_methods()
    assert models.load_named(None, DATA).name == "brain"


def test_a_model_knows_its_file(shipped: Path, tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "mine.safetensors")
    model = models.load_named(path, DATA)
    assert (model.name, model.path, model.card) == ("mine", path, CARD)
    assert model.sha256 == models.model_fingerprint(path) == sha256(path.read_bytes()).hexdigest()
    assert model.parameters == sum(p.numel() for p in model.network.parameters()) > 100
    assert not model.network.training
    assert models.load_named(path, DATA) is model
    path.unlink()
    save_tiny_model(path, seed=1)
    assert models.load_named(path, DATA).sha256 != model.sha256


def test_of_several_the_one_that_fits_is_the_default(shipped: Path) -> None:
    save_tiny_model(shipped / "a.safetensors", {"fits": {"acceleration": [1, 2]}})
    save_tiny_model(shipped / "b.safetensors", {"fits": {"acceleration": [2, 4], "coils": [2, 32]}})
    assert models.load_named(None, {"acceleration": 1.5, "coils": 8}).name == "a"
    assert models.load_named(None, {"acceleration": 3.0, "coils": 8}).name == "b"
    assert models.load_named(None, {"acceleration": 3.0, "coils": 1}).name == "a"


def test_a_misfit_is_told_in_words(tmp_path: Path) -> None:
    model = models.load_named(save_tiny_model(tmp_path / "mine.safetensors"), DATA)
    assert models.misfit(model, DATA) is None
    assert models.misfit(model, {"acceleration": 5.25, "coils": 4}) == (
        "model mine is made for acceleration 1 to 3, not 5.25"
    )
    silent = models.load_named(save_tiny_model(tmp_path / "silent.safetensors", {}), DATA)
    assert models.misfit(silent, {"acceleration": 50, "coils": 50}) is None


@pytest.mark.parametrize("fits", ["brain", {"acceleration": 4}, {"acceleration": ["a", "b"]}])
def test_a_card_with_other_ranges_is_refused(tmp_path: Path, fits: object) -> None:
    path = save_tiny_model(tmp_path / "odd.safetensors", {"fits": fits})
    with pytest.raises(FileFormatError, match=r"odd\.safetensors: .* expected ranges such as"):
        models.load_named(path, DATA)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match="cut"):
        models.load_named(path, DATA)


@pytest.mark.skipif(not models.shipped_models(), reason="no weights are shipped yet")
def test_what_is_shipped_can_be_used() -> None:
    for name, path in models.shipped_models().items():
        model = models.load_named(path, DATA)
        assert model.name == name and models.misfit(model, DATA) is None
        assert path.stat().st_size <= 10_000_000
        assert {"description", "data", "licence", "scores"} <= set(model.card)
