"""`kascade models`."""

from __future__ import annotations

import pytest

from kascade.recon import models
from tests.tiny_models import CARD, save_tiny_model


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """Stands for the folder of shipped models; nothing else is found."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(models, "shipped_folder", lambda: folder)
    monkeypatch.delenv(models.FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def test_without_any_model_it_says_what_to_do(kascade, shipped):
    run = kascade("models")
    assert run.code == 0 and run.out == ""
    assert "kascade train" in run.err


def test_each_model_has_a_line(kascade, shipped, tmp_path):
    save_tiny_model(shipped / "brain.safetensors")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_tiny_model(tmp_path / "runs" / "mine" / "best.safetensors", {})
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "best.safetensors").write_bytes(b"nothing")
    run = kascade("models")
    assert run.code == 0, run.err
    lines = [line for line in run.out.splitlines() if line.strip().startswith(("brain", "mine"))]
    assert len(lines) == 2
    for expected in ("For tests.", "t1w", "phantom", "CC0", "psnr", "shipped", "0.0 MB"):
        assert expected in run.out
    assert "runs/bad/best.safetensors" in run.err


def test_the_whole_card_of_one(kascade, shipped, tmp_path):
    path = save_tiny_model(tmp_path / "tiny.safetensors", {**CARD, "seed": 7})
    run = kascade("models", path)
    assert run.code == 0, run.err
    for expected in ("seed", "7", "acceleration 1 to 3", "licence none needed", "name: tiny\nmodel: {}", "resunet"):
        assert expected in run.out, expected
    assert models.model_fingerprint(path) in run.out.replace("\n", "").replace(" ", "")


def test_an_unknown_name(kascade, shipped):
    run = kascade("models", "magic")
    assert run.code == 2 and "there is no model 'magic'" in run.err and run.err.count("\n") == 1


def test_help_teaches(kascade):
    assert "kascade models runs/x/best.safetensors" in kascade("models", "--help").out
