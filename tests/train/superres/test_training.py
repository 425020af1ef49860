"""Both stages on tiny networks: they run, resume to the same weights, and follow from one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kascade.data.nifti import read_volume
from kascade.data.simulation.thick import simulate_thick
from kascade.errors import ConfigError, FileFormatError
from kascade.nets.bands import OnBands
from kascade.nets.styleswin import StyleSwin
from kascade.nets.transmrsr import TransMRSR
from kascade.nets.vgg19 import VGG19Features
from kascade.recon.superres import resimulation_error, super_resolve
from kascade.recon.superres.weights import SuperResConfig, build_superres, load_superres, save_superres
from kascade.train.batches import ExampleSource
from kascade.train.recipe import BaseRecipe
from kascade.train.run import train
from kascade.train.superres.augment import changed
from kascade.train.superres.features import FeatureConfig, FeatureLoss, feature_network, gram
from kascade.train.superres.generation import GenerationTraining, frechet_distance, r1_penalty
from kascade.train.superres.latents import center_latents, latent_centers
from kascade.train.superres.training import SuperResolutionTraining
from kascade.train.tasks import make_data
from tests.train.superres.tiny import SIZES, generation, superres, write_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pretrained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a tiny generator."""
    recipe, run = generation(), tmp_path_factory.mktemp("runs") / "generator"
    train(recipe, make_data(recipe, folder), run, accelerator="cpu")
    center_latents(run / "best.safetensors", run / "centered.safetensors", samples=500)
    return run


def train_with_a_cut(recipe: BaseRecipe, data: ExampleSource, run: Path) -> None:
    """Train, with a power cut before the last validation is saved, and resume."""

    def cut(line: str) -> None:
        if line.startswith("step 4"):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(recipe, data, run, accelerator="cpu", told=cut)
    told: list[str] = []
    train(recipe, data, run, accelerator="cpu", resume=True, told=told.append)
    assert told[0] == "resuming from step 2"


def same(a: Path, b: Path) -> bool:
    first, second = (load_superres(path).model.state_dict() for path in (a, b))
    return all(torch.equal(t, second[name]) for name, t in first.items())


def test_a_generator_is_trained_and_resumed_to_the_same_weights(pretrained: Path, folder: Path, tmp_path: Path) -> None:
    recipe, run = generation(), tmp_path / "run"
    data = make_data(recipe, folder)
    assert {"metrics.csv", "model-card.md", "last.safetensors"} <= {path.name for path in pretrained.iterdir()}
    assert (pretrained / "images" / "latest.png").exists()
    head, *lines = (pretrained / "metrics.csv").read_text().splitlines()
    assert "validation_frechet" in head and "learning_rate_discriminator" in head and len(lines) == 2
    train_with_a_cut(recipe, data, run)
    assert same(run / "last.safetensors", pretrained / "last.safetensors")


def test_neither_network_is_changed_by_the_loss_of_the_other(folder: Path) -> None:
    training = GenerationTraining(generation())
    real = [make_data(generation(), folder).train(0, 2)[n] for n in range(2)]
    torch.manual_seed(0)
    training.discriminator.eval()  # no power iteration, so that it is the same network in both
    loss = training.loss(torch.stack(real))
    torch.manual_seed(0)
    fake = training.model(torch.randn(2, 8))
    alone = torch.nn.functional.softplus(-training.discriminator(fake)).mean()
    parameters = list(training.model.parameters())
    for a, b in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(alone, parameters), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)
    rates = {group["name"]: group["lr"] for group in training.parameter_groups() if "lr" in group}
    assert rates == {"discriminator": 4e-3}


def test_r1_and_the_frechet_distance_are_their_formulas() -> None:
    class Quadratic(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square().sum((1, 2, 3))

    x = torch.randn(3, 1, 4, 4)
    torch.testing.assert_close(r1_penalty(Quadratic(), x), (2 * x).square().sum((1, 2, 3)).mean())
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20000, 2)), rng.standard_normal((20000, 2)) * [3, 1] + [0, 2]
    assert frechet_distance(a[:2000], a[:2000]) == pytest.approx(0, abs=1e-9)
    few_a, few_b = a[:3000], b[:3000]
    assert frechet_distance(few_a, few_b) == pytest.approx(4 + 4, rel=0.1)


def test_augmentation_is_differentiable_and_does_something() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 1, 16, 16, requires_grad=True)
    y = changed(x)
    assert y.shape == x.shape and not torch.allclose(y, x)
    y.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())


def test_centers_are_those_of_clusters(pretrained: Path) -> None:
    model = load_superres(pretrained / "centered.safetensors")
    assert isinstance(model.model, StyleSwin) and bool(model.model.truncation.given)
    assert model.card["latents"] == {"samples": 500, "seed": 0}
    generator = StyleSwin(**SIZES, clusters=2)

    class Two(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.where(z[:, :1] > 0, 5.0, -5.0) + 0.1 * z

    generator.mapping = Two()  # type: ignore[assignment]
    centers = latent_centers(generator, 400)
    assert sorted(centers.mean(1).tolist()) == pytest.approx([-5, 5], abs=0.1)
    assert torch.equal(centers, latent_centers(generator, 400))
    with pytest.raises(ConfigError, match="1 samples"):
        latent_centers(generator, 1)


@pytest.mark.parametrize("freeze", [False, True])
def test_transmrsr_begins_from_the_generator(pretrained: Path, folder: Path, tmp_path: Path, freeze: bool) -> None:
    prior = {"file": str(pretrained / "centered.safetensors"), "freeze": freeze}
    recipe = superres(prior=prior)
    generator = load_superres(prior["file"]).model  # type: ignore[arg-type]
    assert isinstance(generator, StyleSwin)
    begun = SuperResolutionTraining(recipe).model
    assert isinstance(begun, TransMRSR) and torch.equal(begun.decoder.constant, generator.synthesis.constant)
    run, again = tmp_path / "run", tmp_path / "again"
    data = make_data(recipe, folder)
    result = train(recipe, data, run, accelerator="cpu")
    trained = load_superres(run / "last.safetensors")
    assert isinstance(trained.model, TransMRSR) and trained.model.truncation is not None
    assert torch.equal(trained.model.truncation.centers, generator.truncation.centers)
    assert torch.equal(trained.model.decoder.constant, generator.synthesis.constant) == freeze
    assert (trained.card["factor"], trained.card["axis"], trained.card["features"]) == (3, "z", "none")
    if not freeze:
        train_with_a_cut(recipe, data, again)
        assert same(run / "last.safetensors", again / "last.safetensors")
    fine = read_volume(folder / "heads" / "h3.nii.gz")
    thick = simulate_thick(fine, 3)
    network = load_superres(result.weights).model
    restored = super_resolve(thick, 3, network=network, axis="z", like=fine)
    assert restored.data.shape == fine.data.shape and resimulation_error(restored, thick, 3, "z") < 0.01


@pytest.mark.parametrize("kind", ["transmrsr", "gfpgan"])
def test_a_network_on_bands_begins_from_the_generator_too(
    pretrained: Path, folder: Path, tmp_path: Path, kind: str
) -> None:
    prior = str(pretrained / "centered.safetensors")
    model = {"kind": kind, "options": SIZES, "bands": True}
    recipe = superres(prior={"file": prior}, model=model, data={"size": 2 * int(SIZES["size"])})
    generator = load_superres(prior).model
    begun = SuperResolutionTraining(recipe).model
    assert isinstance(begun, OnBands)
    weights = {name: p for name, p in begun.network.named_parameters() if name.endswith(".constant")}
    assert [torch.equal(p, generator.synthesis.constant) for p in weights.values()] == [True]  # type: ignore[union-attr]
    result = train(recipe, make_data(recipe, folder), tmp_path / "run", accelerator="cpu")
    loaded = load_superres(result.weights)
    assert isinstance(loaded.model, OnBands) and loaded.config.bands
    thick = simulate_thick(read_volume(folder / "heads" / "h3.nii.gz"), 3)
    restored = super_resolve(thick, 3, network=loaded.model, axis="z")
    assert bool(restored.data.isfinite().all()) and resimulation_error(restored, thick, 3, "z") < 0.01


def test_priors_that_do_not_fit_are_told(pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kascade latents"):
        SuperResolutionTraining(superres(prior={"file": str(pretrained / "best.safetensors")}))
    config = SuperResConfig(kind="unet", options={"channels": 2, "levels": 1})
    save_superres(tmp_path / "unet.safetensors", build_superres(config), config, {})
    with pytest.raises(ConfigError, match="no generator"):
        SuperResolutionTraining(superres(prior={"file": str(tmp_path / "unet.safetensors")}))
    with pytest.raises(FileFormatError):
        SuperResolutionTraining(superres(prior={"file": str(tmp_path / "none.safetensors")}))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("unet", {"channels": 2, "levels": 1}),
        ("edsr", {"width": 4, "blocks": 2}),
        ("swinir", {"size": 16, "width": 8, "groups": 1, "depth": 2}),
        ("restormer", {"width": 8, "blocks": [1, 1, 1, 1], "refinement": 1}),
        ("resunet", {"channels": 2, "levels": 1, "blocks": 1}),
    ],
)
def test_other_networks_learn_in_the_same_harness(kind: str, options: dict[str, Any], folder: Path) -> None:
    training = SuperResolutionTraining(superres(model={"kind": kind, "options": options}))
    data = make_data(superres(), folder).train(0, 2)
    degraded, clean = (torch.stack(t) for t in zip(*((data[n].degraded, data[n].clean) for n in range(2)), strict=True))
    out = training.model(degraded)
    assert out.shape == clean.shape
    training.loss(out, clean).backward()


# --- losses on features ---------------------------------------------------------------------------------------------


def vgg_weights() -> dict[str, torch.Tensor]:
    from kascade.nets.vgg19 import _layers

    torch.manual_seed(0)
    state = torch.nn.Sequential(*_layers()).state_dict()
    return {f"features.{name}": tensor for name, tensor in state.items()} | {"classifier.0.bias": torch.zeros(3)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg19_is_read_from_the_users_file(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    weights, path = vgg_weights(), tmp_path / f"vgg19{suffix}"
    (torch.save if suffix == ".pth" else save_file)(weights, path)
    loss = feature_network(FeatureConfig(network="vgg19", file=str(path)), 32)
    assert not any(p.requires_grad for p in loss.parameters())
    x, y = torch.rand(1, 1, 16, 16, requires_grad=True), torch.rand(1, 1, 16, 16)
    content, style = loss(x, y)
    (content + style).backward()
    assert float(content.detach()) > 0 and float(style.detach()) > 0 and x.grad is not None
    assert [float(v) for v in loss(y, y)] == [0, 0]
    found = VGG19Features(weights, (0, 2))(y)
    first = torch.nn.functional.conv2d(
        (y - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None],
        weights["features.0.weight"],
        weights["features.0.bias"],
        padding=1,
    )
    torch.testing.assert_close(found[0], first)
    assert set(found) == {0, 2}


def test_gram_is_that_of_channels() -> None:
    x = torch.randn(2, 3, 4, 5)
    expected = torch.einsum("bchw,bdhw->bcd", x, x) / 60
    torch.testing.assert_close(gram(x), expected)
    assert isinstance(FeatureLoss(torch.nn.Identity(), (0,), (0,)), torch.nn.Module)


def test_a_classifier_trained_here_gives_features_and_the_card_says_so(folder: Path, tmp_path: Path) -> None:
    from kascade.recon.restoration import RestorationConfig, build_network, save_restorer

    config = RestorationConfig(kind="classifier", options={"width": 4, "blocks": [1, 1, 1, 1], "heads": [1, 1, 1, 1]})
    path = tmp_path / "classifier.safetensors"
    save_restorer(path, build_network(config), config, {})
    features = {"network": "classifier", "file": str(path)}
    recipe = superres(loss={"content": 0.5, "style": 0.5, "features": features}, training={"steps": 2})
    train(recipe, make_data(recipe, folder), tmp_path / "run", accelerator="cpu")
    assert load_superres(tmp_path / "run" / "last.safetensors").card["features"] == f"classifier ({path})"


def test_feature_files_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name, error in (("none.pth", FileFormatError), ("bad.pth", FileFormatError), ("other.pth", ConfigError)):
        with pytest.raises(error):
            feature_network(FeatureConfig(network="vgg19", file=str(tmp_path / name)), 32)
