from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kascade.errors import ConfigError, FileFormatError
from kascade.recon.restoration import load_restorer
from kascade.train.restoration.data import RestorationData, RestorationExample
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.restoration.trainings import (
    AdversarialTraining,
    CyclicTraining,
    RestorationTraining,
    _stacked,
    auc_scores,
    fit_head,
)
from kascade.train.run import Trained, train
from kascade.train.tasks import make_data, make_training
from tests.recon.restoration.conftest import save_small
from tests.train.restoration.tiny import tiny_recipe, write_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small(tmp_path_factory.mktemp("start") / "classifier.safetensors", "classifier"))


def run(recipe: RestorationRecipe, folder: Path, place: Path, **options: object) -> Trained:
    return train(recipe, make_data(recipe, folder), place, accelerator="cpu", **options)  # type: ignore[arg-type]


def cyclic(start: str, **sections: object) -> RestorationRecipe:
    training = {"start_from": start, **sections.pop("training", {})}  # type: ignore[dict-item]
    return tiny_recipe("cag", training=training, **sections)


@pytest.mark.parametrize("kind", ["classifier", "restormer", "hinet", "pix2pix", "srgan", "resvit"])
def test_every_network_is_trained_through_one_interface(folder: Path, tmp_path: Path, kind: str) -> None:
    trained = run(tiny_recipe(kind, training={"steps": 2}), folder, tmp_path / "run")
    names = {"auc", "auc_motion", "auc_clean"} if kind == "classifier" else {"psnr", "ssim", "rmse"}
    assert names <= set(trained.scores)
    model = load_restorer(trained.weights)
    assert model.config.kind == kind and model.card["fits"]["spacing_mm"] == [1.6, 2.5]
    assert (tmp_path / "run/curves.png").exists() and (tmp_path / "run/model-card.md").exists()
    assert (tmp_path / "run/images/best.png").exists() == (kind != "classifier")


def test_a_resumed_cycle_ends_with_the_same_weights(folder: Path, start: str, tmp_path: Path) -> None:
    recipe = cyclic(start, cycle={"refit_below": 1.0})
    run(recipe, folder, tmp_path / "whole")
    half = recipe.model_copy(update={"training": recipe.training.model_copy(update={"validate_every": 2})})
    data = make_data(half, folder)
    stops = RuntimeError("power cut")

    def stop_after_two(line: str) -> None:
        if line.startswith("step 4"):
            raise stops

    with pytest.raises(RuntimeError):
        train(half, data, tmp_path / "cut", accelerator="cpu", told=stop_after_two)
    train(half, data, tmp_path / "cut", accelerator="cpu", resume=True)
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "cut"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    card = load_restorer(tmp_path / "whole" / "last.safetensors").card
    assert card["start"]["name"] is None and 0 <= card["scores"]["auc"] <= 1
    assert json.loads((tmp_path / "whole/recipe.json").read_text())["task"] == "restoration"


def test_the_cycle_starts_from_the_classifier_and_the_classifier_follows(folder: Path, start: str) -> None:
    recipe = cyclic(start)
    training = make_training(recipe, make_data(recipe, folder))
    assert isinstance(training, CyclicTraining)
    classifier = load_restorer(start).model
    model = training.model
    torch.testing.assert_close(model.restorer.encoder.embed.weight, classifier.encoder.embed.weight)
    torch.testing.assert_close(model.classifier.head.weight, classifier.head.weight)
    before = model.classifier.encoder.embed.weight.clone()
    with torch.no_grad():
        model.restorer.encoder.embed.weight.add_(1.0)
    training.on_train_batch_end(None, [], 0)
    torch.testing.assert_close(model.classifier.encoder.embed.weight, before + 0.01)


def test_the_semantic_loss_asks_for_a_clean_image(folder: Path, start: str) -> None:
    plain, semantic = (cyclic(start, cycle={"semantic": weight}) for weight in (0.0, 2.0))
    data = RestorationData(plain.data, folder, 0)
    batch = _stacked([data.train(0, 2)[n] for n in range(2)])
    one, two = (make_training(recipe, data) for recipe in (plain, semantic))
    pixels, both = float(one.loss(batch).detach()), float(two.loss(batch).detach())  # type: ignore[attr-defined]
    logits = one.model.classifier(one.model(batch.degraded, batch.labels)).detach()  # type: ignore[attr-defined]
    truth = torch.tensor([0.0, 0, 0, 1]).expand(2, 4)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
    assert both - pixels == pytest.approx(2 * float(expected), rel=1e-4)
    parameters = [p for group in two.parameter_groups() for p in group["params"]]
    assert {id(p) for p in parameters} == {id(p) for p in two.model.restorer.parameters()}  # type: ignore[union-attr]


def test_what_the_cycle_cannot_start_from_is_told(
    folder: Path, tmp_path: Path, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tiny_recipe(), folder)
    other = save_small(tmp_path / "r.safetensors", "restormer")
    with pytest.raises(ConfigError, match="is no degradation classifier"):
        make_training(cyclic(str(other)), data)
    wide = cyclic(start, model={"kind": "cag", "options": {"width": 16, "blocks": [1, 1, 1, 1]}})
    with pytest.raises(ConfigError, match="has other sizes"):
        make_training(wide, data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match="train the recipe 'cag-classifier' first"):
        run(cyclic("runs/cag-classifier/best.safetensors"), folder, tmp_path / "run")


def test_generator_and_discriminator_see_their_own_losses_only(folder: Path) -> None:
    recipe = tiny_recipe("pix2pix")
    data = RestorationData(recipe.data, folder, 0)
    training = make_training(recipe, data)
    assert isinstance(training, AdversarialTraining)
    batch = _stacked([data.train(0, 2)[n] for n in range(2)])
    torch.manual_seed(0)
    training.loss(batch).backward()
    together = [p.grad.clone() for p in training.discriminator.parameters()]
    training.zero_grad()
    torch.manual_seed(0)
    fake = training.model(batch.degraded).detach()
    judge = training.discriminator
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    real, false = (judge(torch.cat((batch.degraded, x), 1)) for x in (batch.clean, fake))
    ((bce(real, torch.ones_like(real)) + bce(false, torch.zeros_like(false))) / 2).backward()
    for grad, p in zip(together, judge.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad, atol=1e-5, rtol=1e-3)
    assert {group["name"] for group in training.parameter_groups()} == {"networks", "discriminator"}


def test_the_relative_loss_weighs_mild_degradations_like_severe_ones(folder: Path) -> None:
    recipe = tiny_recipe("restormer", loss="relative")
    training = RestorationTraining(recipe)
    clean = torch.zeros(2, 3, 32, 32)
    degraded = torch.stack([torch.full((3, 32, 32), error) for error in (0.1, 1.0)])
    batch = RestorationExample(degraded, clean, torch.zeros(2, 4), torch.ones(2, 32, 32, dtype=torch.bool))
    untrained = (0.1**2 / (0.1**2 + 0.02**2) + 1 / (1 + 0.02**2)) / 2
    assert training.loss(batch).item() == pytest.approx(untrained)  # the identity
    assert training.compared(degraded / 2, batch).item() == pytest.approx(untrained / 4)
    assert training.compared(clean, batch).item() == 0


def test_the_last_layer_is_fitted_to_separable_features() -> None:
    torch.manual_seed(0)
    features = torch.randn(200, 6)
    labels = (features[:, :4] + 0.3 * torch.randn(200, 4) > 0).float()
    head = torch.nn.Linear(6, 4)
    before = auc_scores(head(features).detach(), labels)["auc"]
    fit_head(head, features, labels)
    assert auc_scores(head(features).detach(), labels)["auc"] > max(0.95, before)
    assert all(p.requires_grad and p.grad is None for p in head.parameters())


def test_auc_of_labels_that_nobody_has_does_not_count() -> None:
    logits = torch.tensor([[2.0, 0, 1, 0], [1.0, 0, 2, 0], [0.0, 0, 0, 0]])
    labels = torch.tensor([[1.0, 0, 1, 0], [1.0, 0, 0, 0], [0.0, 0, 0, 0]])
    found = auc_scores(logits, labels)
    assert found["auc_motion"] == 1 and found["auc_noise"] == 0.5 and found["auc_clean"] != found["auc_clean"]
    assert found["auc"] == pytest.approx(0.75)


def test_what_is_scored_is_what_is_saved_also_when_the_last_layer_was_fitted_anew(
    folder: Path, start: str, tmp_path: Path
) -> None:
    recipe = cyclic(start, cycle={"refit_below": 1.0}, training={"steps": 2})
    data = make_data(recipe, folder)
    trained = train(recipe, data, tmp_path / "run", accelerator="cpu")
    found = load_restorer(tmp_path / "run" / "last.safetensors")
    classifier = found.model.classifier
    assert not torch.equal(classifier.head.weight, load_restorer(start).model.head.weight)  # type: ignore[union-attr]
    examples = [data.validation()[n] for n in range(recipe.data.validation_examples)]
    with torch.no_grad():
        logits = torch.cat([classifier(example.degraded[None]) for example in examples])  # type: ignore[operator]
    auc = auc_scores(logits, torch.stack([example.labels for example in examples]))["auc"]
    assert found.card["scores"]["auc"] == pytest.approx(trained.scores["auc"], abs=1e-4) == pytest.approx(auc, abs=1e-4)
