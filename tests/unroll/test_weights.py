"""Weights files: what is written comes back; whatever is damaged, foreign or of the future is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from kascade.errors import ConfigError, FileFormatError, OutputError
from kascade.physics import Encoding
from kascade.unroll import CascadeConfig, build_cascade, load_model, save_model
from kascade.unroll.weights_file import checksum
from tests.battery import random_complex

SMALL = {"name": "unet", "options": {"channels": 2, "levels": 1}}
CARD = {"license": "CC0", "scores": {"psnr_db": 35.5}, "hours": None}


def trained(**settings: object) -> tuple[nn.Module, CascadeConfig]:
    """A cascade with weights that no fresh one has."""
    config = CascadeConfig.model_validate({"prior": SMALL, "iterations": 2, **settings})
    model = build_cascade(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand(tensor.shape, generator=generator)
            else:
                tensor += 5
    return model, config


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shared": True, "lam": "predicted", "final_consistency": True},
        {"lam": [5.0, 2.0]},
        {"kind": "modl"},
        {"prior": {"name": "residual-cnn", "options": {"channels": 2, "layers": 2}}},
    ],
)
def test_what_is_written_comes_back(tmp_path: Path, settings: dict[str, object]) -> None:
    model, config = trained(**settings)
    path = tmp_path / "model.safetensors"
    save_model(path, model, config, CARD)
    state = torch.random.get_rng_state()
    loaded = load_model(path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert loaded.config == config and loaded.card == CARD and not loaded.model.training
    ours, theirs = model.state_dict(), loaded.model.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    E = Encoding(random_complex(2, 9, 10, dtype=torch.complex64) / 4)
    y = random_complex(2, 9, 10, dtype=torch.complex64)
    with torch.no_grad():
        assert torch.equal(loaded.model(E, y).image, model.eval()(E, y).image)


def test_shared_priors_are_stored_once(tmp_path: Path) -> None:
    sizes = []
    for iterations in (2, 6):
        model, config = trained(shared=True, iterations=iterations, lam="tied")
        save_model(tmp_path / f"{iterations}.safetensors", model, config, {})
        with safe_open(tmp_path / f"{iterations}.safetensors", framework="pt") as file:
            sizes.append(sum(file.get_tensor(name).numel() for name in file.keys()))  # noqa: SIM118
    assert sizes[0] == sizes[1]


def test_nothing_is_overwritten_or_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, config = trained()
    path = tmp_path / "model.safetensors"
    save_model(path, model, config, CARD)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        save_model(path, model, config, {})

    def full_disk(beside: Path, content: bytes) -> None:
        with beside.open("wb") as file:
            file.write(content[:4])
        raise OSError(28, "No space left on device", str(beside))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OutputError, match="the disk is full"):
            save_model(path, model, config, {}, force=True)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    save_model(path, model, config, {"new": True}, force=True)
    assert load_model(path).card == {"new": True}


def test_models_and_cards_that_cannot_be_stored(tmp_path: Path) -> None:
    model, config = trained()
    path = tmp_path / "model.safetensors"
    with pytest.raises(ConfigError, match="JSON cannot hold the model card"):
        save_model(path, model, config, {"path": tmp_path})
    with pytest.raises(ConfigError, match="JSON cannot hold the model card"):
        save_model(path, model, config, {"psnr_db": float("nan")})
    with pytest.raises(ConfigError, match="not what its configuration describes"):
        save_model(path, model, config.model_copy(update={"iterations": 3}), {})
    assert not path.exists()


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def rewritten(path: Path, **changes: object) -> None:
    """The same file with other metadata."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["kascade"]) | changes
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    text = json.dumps(content)
    save_file(tensors, path, {"kascade": text, "kascade.sha256": checksum(text, tensors)})


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.safetensors", "there is no such file")
    refused(tmp_path, "there is no such file")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"")
    refused(foreign, "not a .safetensors file, or a damaged one")
    torch.save({"weight": torch.zeros(3)}, foreign)
    refused(foreign, "not a .safetensors file, or a damaged one")
    save_file({"weight": torch.zeros(3)}, foreign)
    refused(foreign, "not a model of Kascade")
    for text in ("", "[]", "{}", '{"format": "x", "config": {}, "card": {}}', '{"format": 1, "config": {}, "card": 3}'):
        save_file({"weight": torch.zeros(3)}, foreign, {"kascade": text})
        refused(foreign, "its metadata is damaged")


def test_damaged_files_are_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    model, config = trained()
    path, damaged = tmp_path / "model.safetensors", tmp_path / "damaged.safetensors"
    save_model(path, model, config, CARD)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        damaged.write_bytes(whole[:length])
        refused(damaged, "damaged")
    for position in range(0, len(whole), len(whole) // 60):
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(FileFormatError) as caught:
            load_model(damaged)
        assert "\n" not in str(caught.value)


def test_files_of_the_future_and_without_their_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model, config = trained()
    save_model(path, model, config, CARD)
    rewritten(path, format=2)
    refused(path, r"newer Kascade \(format 2, this one reads up to 1\)")
    rewritten(path, format=1, config={"kind": "diffusion"})
    refused(path, r"its configuration is not understood here \(kind: ")
    rewritten(path, config={"prior": {"name": "gan"}})
    refused(path, "cannot be built here: there is no prior 'gan'")
    rewritten(path, config={"prior": SMALL, "iterations": 3})
    refused(path, "do not fit the network 'unet'")
