"""The super-resolution benchmark: its recipes, its test volumes, and a whole run of tiny networks."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from matplotlib.text import Text

from kascade.benchmarks.superres_figure import examples_figure, nearest_slices, read_views
from kascade.benchmarks.superres_methods import ABLATION, CUBIC, METHODS, PEERS, base_recipe, method_recipe
from kascade.benchmarks.superres_run import plan_superres, run_superres
from kascade.benchmarks.superres_tests import CONSISTENT, GIVEN, held_out_tests, score_volume
from kascade.cli.main import main
from kascade.errors import ConfigError
from kascade.nets.styleswin import StyleSwin
from kascade.recon.superres.weights import SuperResConfig, build_superres, save_superres
from tests.train.superres.tiny import SIZES, SUPERRES, changed, superres, write_heads

# One of each kind of row: a peer, the network, and an ablation that has no file to begin from.
SOME = ("EDSR", "TransMRSR", "no prior")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("data"))


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    """A generator that learned nothing, with centers."""
    config = SuperResConfig(kind="styleswin", options={**SIZES, "mapping_layers": 2})
    network = build_superres(config)
    assert isinstance(network, StyleSwin)
    network.truncation.set_centers(torch.randn(8, SIZES["latent"]))
    save_superres(tmp_path / "generator.safetensors", network, config, {})
    return tmp_path / "generator.safetensors"


def written(path: Path, **sections: Any) -> Path:
    """A tiny recipe of two steps."""
    content = changed(SUPERRES, {"training": {"steps": 2}, **sections})
    path.write_text(yaml.safe_dump(content))
    return path


def test_all_methods_train_on_one_budget_and_differ_in_their_network() -> None:
    base = base_recipe(None, 8, 7)
    networks = [method for method in METHODS if method.name != CUBIC]
    made = {method.name: method_recipe(base, method, 3) for method in networks}
    assert {CUBIC, *made} == {*PEERS, *ABLATION}
    assert base.data.factor == 8
    for recipe in made.values():
        assert (recipe.data, recipe.loss) == (base.data, base.loss)
        assert (recipe.training.steps, recipe.training.seed, recipe.training.early_stop) == (7, 3, None)
    priors = {name: recipe.prior for name, recipe in made.items()}
    assert {name for name, prior in priors.items() if prior.file is None} == {
        "EDSR",
        "SwinIR",
        "Restormer",
        "MINet",
        "no prior",
    }
    assert [name for name, prior in priors.items() if prior.freeze] == ["frozen prior"]
    options = [made[name].model.options for name in ABLATION]
    for key in ("truncation", "encoder_features", "skip"):
        assert [one.get(key, True) for one in options].count(False) == 1
    assert made["SwinIR"].model.options["size"] == base.data.size // 2  # on bands, like all others
    assert all(recipe.model.bands for recipe in made.values())
    assert len({recipe.name for recipe in made.values()}) == len(networks)


def test_the_networks_build_and_take_images_of_the_recipe() -> None:
    base = base_recipe(None)
    x = torch.zeros(1, 1, base.data.size, base.data.size)
    for name in PEERS[1:]:
        network = method_recipe(base, next(m for m in METHODS if m.name == name), 1).build()
        with torch.inference_mode():
            assert network(x).shape == x.shape


def test_tests_are_the_held_out_heads_and_consistency_helps(data: Path) -> None:
    config = superres().data
    (test,) = held_out_tests(config, data)
    assert test.subject == "heads/h3" and test.thick.data.shape == (40, 48, 4)
    (given, consistent), volume = score_volume(None, test, config)
    assert (given.output, consistent.output) == (GIVEN, CONSISTENT)
    assert consistent.psnr > given.psnr and consistent.resimulation < given.resimulation
    assert volume.data.shape == test.fine.data.shape
    near = nearest_slices(test, config)
    assert torch.equal(near[..., 2], test.thick.data[..., 1]) and torch.equal(near[..., 4], test.thick.data[..., 1])


def test_a_run_is_whole_and_goes_on_where_it_stopped(
    tmp_path: Path, data: Path, generator: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = written(tmp_path / "recipe.yaml", prior={"file": str(generator)}), tmp_path / "out"
    told: list[str] = []
    plan = plan_superres(data, SOME, 1, recipe=recipe)
    run_superres(plan, out, told=told.append)
    assert [line.split(":")[0] for line in told] == ["edsr-1", "transmrsr-1", "no-prior-1"]
    text = (out / "superres.md").read_text()
    for part in (
        "As the network gives it",
        "Made consistent",
        "Ablation (Tables 3 to 5)",
        "| no prior |",
        "| EDSR | 0.4",
    ):
        assert part in text
    assert "SwinIR" not in text and "no skip" not in text
    assert (out / "examples.png").exists()
    views = {name: read_views(next((out / "runs" / name).glob("*.npz"))) for name in ("cubic", "transmrsr-1")}
    (test,) = held_out_tests(plan.recipe.data, data)
    shown = {"TransMRSR": views["transmrsr-1"], "no prior": views["transmrsr-1"], CUBIC: views["cubic"]}
    texts = [text.get_text() for text in examples_figure(test, plan.recipe.data, shown).findobj(Text)]
    assert [t for t in texts if t in ("thick slices", "truth", *shown)] == ["thick slices", CUBIC, "TransMRSR", "truth"]
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["output"]) for row in rows] == [
        (m, o) for m in (CUBIC, *SOME) for o in (GIVEN, CONSISTENT)
    ]
    mean = np.mean([float(r["psnr"]) for r in rows if r["method"] == "EDSR" and r["output"] == GIVEN])
    assert f"| EDSR | {mean:.2f} ±" in text

    # A second run, as a command: nothing is trained or tested again.
    (out / "superres.md").unlink()
    weights = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.safetensors")}
    monkeypatch.setattr("kascade.benchmarks.superres_run.score_volume", None)
    options = ["--seeds", "1", "--force", *(part for name in SOME for part in ("--method", name))]
    with pytest.raises(SystemExit) as end:
        main(["bench", "superres", "-o", str(out), "--data", str(data), "--recipe", str(recipe), *options])
    assert not end.value.code, capsys.readouterr().err
    assert (out / "superres.md").read_text() == text
    assert len(weights) == 3 and all(path.stat().st_mtime_ns == then for path, then in weights.items())


def test_interpolation_alone_needs_no_training_data(tmp_path: Path, data: Path) -> None:
    recipe = written(tmp_path / "recipe.yaml", prior={"file": "nowhere"})
    plan = plan_superres(data, [CUBIC], 1, factor=4, subjects=1, recipe=recipe)
    told: list[str] = []
    results = run_superres(plan, tmp_path / "out", progress=told.append)
    assert list(results.rows) == [CUBIC] and not list((tmp_path / "out/runs").glob("*/recipe.json"))
    assert len(told) == plan.steps
    assert "4 x as thick as a voxel" in (tmp_path / "out/superres.md").read_text()


def test_what_cannot_be_compared_is_refused(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="--data"):
        plan_superres(None)
    lost = written(tmp_path / "lost.yaml", prior={"file": "nowhere.safetensors"})
    with pytest.raises(ConfigError, match=r"nowhere\.safetensors is not there; first kascade train recipes/styleswin"):
        plan_superres(data, ["TransMRSR"], recipe=lost)
    plan_superres(data, ["EDSR", "no prior"], recipe=lost)
    features = {"content": 1, "features": {"network": "classifier", "file": "lost.safetensors"}}
    with pytest.raises(ConfigError, match=r"first kascade train recipes/cag-classifier\.yaml"):
        plan_superres(data, ["EDSR"], recipe=written(tmp_path / "features.yaml", loss=features))
    with pytest.raises(ConfigError, match=r"names no prior\.file"):
        plan_superres(data, recipe=written(tmp_path / "none.yaml"))
    other = written(tmp_path / "other.yaml", model={"kind": "edsr", "options": {}})
    with pytest.raises(ConfigError, match="with the model transmrsr"):
        base_recipe(other)
    with pytest.raises(SystemExit) as end:
        main(["bench", "superres", "-o", str(tmp_path / "out"), "--data", str(data), "--method", "UNet"])
    assert end.value.code == 2
    assert "method 'UNet': expected one of cubic, EDSR, SwinIR" in capsys.readouterr().err
