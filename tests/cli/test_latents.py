"""`kascade latents`."""

from __future__ import annotations

import torch

from kascade.recon.superres.weights import SuperResConfig, build_superres, load_superres, save_superres

CONFIG = SuperResConfig(kind="styleswin", options={"size": 16, "width": 8, "max_width": 8, "latent": 8})


def test_centers_are_stored_with_the_weights(kascade, tmp_path):
    torch.manual_seed(0)
    save_superres(tmp_path / "generator.safetensors", build_superres(CONFIG), CONFIG, {})
    out = tmp_path / "centered.safetensors"
    run = kascade("latents", tmp_path / "generator.safetensors", "-o", out, "--samples", 300)
    assert run.code == 0, run.err
    assert "8 centers of 300 latents" in run.err
    truncation = load_superres(out).model.truncation
    assert bool(truncation.given) and len(torch.unique(truncation.centers, dim=0)) == 8
    assert kascade("latents", tmp_path / "generator.safetensors", "-o", out).code != 0


def test_another_network_is_refused(kascade, tmp_path):
    config = SuperResConfig(kind="unet", options={"channels": 2, "levels": 1})
    save_superres(tmp_path / "unet.safetensors", build_superres(config), config, {})
    run = kascade("latents", tmp_path / "unet.safetensors", "-o", tmp_path / "x.safetensors")
    assert run.code == 2 and "expected a generator" in run.err and not (tmp_path / "x.safetensors").exists()
