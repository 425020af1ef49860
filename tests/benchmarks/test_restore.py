"""The restoration benchmark: its recipes, its test images, its tables, and a whole run of tiny networks."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from kascade.benchmarks.restore_explain import explain_locally
from kascade.benchmarks.restore_methods import ABLATION, METHODS, PEERS, base_recipes, method_recipe
from kascade.benchmarks.restore_report import RestoreResults, auc_table
from kascade.benchmarks.restore_run import plan_restore, run_restore
from kascade.benchmarks.restore_tests import MIXTURES, classify_tests, make_tests, score_network
from kascade.cli.main import main
from kascade.errors import ConfigError
from kascade.nets.cag import CAG
from kascade.train.restoration.data import CleanVolume, read_clean
from tests.heads import head_array, write_head
from tests.recon.restoration.conftest import SIZES
from tests.train.restoration.tiny import RECIPE, write_heads


@pytest.fixture
def recipes(tmp_path: Path) -> tuple[Path, Path]:
    """Recipes of tiny networks."""
    training = {**RECIPE["training"], "steps": 2}
    cag = {**RECIPE, "name": "cag", "model": {"kind": "cag", "options": SIZES["cag"]}}
    cag["training"] = {**training, "start_from": "elsewhere"}
    front = {**RECIPE, "name": "front", "model": {"kind": "classifier", "options": SIZES["classifier"]}}
    paths = tmp_path / "cag.yaml", tmp_path / "front.yaml"
    for path, content in zip(paths, (cag, {**front, "training": training}), strict=True):
        path.write_text(yaml.safe_dump(content))
    return paths


def volumes(tmp_path: Path, count: int = 2) -> list[CleanVolume]:
    paths = [write_head(tmp_path / f"v{n}.nii.gz", head_array(seed=n)) for n in range(count)]
    return [read_clean(path, (48, 40), 8) for path in paths]


def test_all_methods_train_on_one_budget_and_differ_in_their_network() -> None:
    base, _ = base_recipes(None, None, 7)
    made = {method.name: method_recipe(base, method, 3, Path("c.safetensors")) for method in METHODS}
    assert set(PEERS) | set(ABLATION) == set(made)
    for recipe in made.values():
        assert recipe.data == base.data
        assert (recipe.training.steps, recipe.training.seed, recipe.training.batch) == (7, 3, base.training.batch)
    assert {name for name, recipe in made.items() if recipe.training.start_from} == {"+ cyclic", "+ cyclic + CAG"}
    assert made["+ cyclic"].model.options["explain"] is False
    assert "explain" not in made["Restormer"].model.options
    assert len({recipe.name for recipe in made.values()}) == len({m.folder for m in METHODS}) == len(METHODS)


def test_test_images_are_the_same_each_time_and_cover_everything(tmp_path: Path) -> None:
    one, two = (make_tests(volumes(tmp_path), 2) for _ in range(2))
    assert len(one) == 2 * 2 * 16
    assert all(torch.equal(a.degraded, b.degraded) for a, b in zip(one, two, strict=True))
    assert {(t.mixture, t.severity) for t in one} >= {(m, "severe") for m in MIXTURES} | {("clean", "")}
    clean = next(t for t in one if t.mixture == "clean")
    assert torch.equal(clean.degraded, clean.clean) and clean.labels.tolist() == [0, 0, 0, 1]


def test_a_perfect_network_scores_perfectly_and_none_scores_the_input(tmp_path: Path) -> None:
    tests = make_tests(volumes(tmp_path, 1), 1)
    answers = iter([test.clean for test in tests])

    class Oracle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return next(answers)[None]

    assert all(row.psnr == 100 for row in score_network(Oracle(), tests))
    degraded = score_network(None, tests)
    assert all((row.psnr == 100) == (row.mixture == "clean") for row in degraded)
    assert [row.mixture for row in degraded] == [test.mixture for test in tests]


def test_explanations_that_sit_on_the_disk_are_told_from_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CAG(3, 3, **SIZES["cag"])
    network.explanation = lambda x, labels: x.new_ones(1, 1, 48, 40)  # type: ignore[method-assign,assignment]
    cases = explain_locally(network, volumes(tmp_path))
    assert len(cases) == 6 and all(case.concentration == pytest.approx(1) for case in cases)
    case = cases[0]
    on_it, beside = (dataclasses.replace(case, explanation=0.1 + 0.9 * where) for where in (case.disk, ~case.disk))
    assert on_it.concentration == pytest.approx(10) and beside.concentration == pytest.approx(0.1)
    assert bool((case.disk & case.head).any()) and not bool((case.disk & ~case.head).all())
    difference = [(case.image - other.image).abs() for other in cases[1:3]]
    assert all(float(d[~case.disk].max()) == pytest.approx(0, abs=0.12) for d in difference)


def test_a_run_is_whole_and_goes_on_where_it_stopped(
    tmp_path: Path, recipes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_heads(tmp_path / "data")
    plan = plan_restore(data, ["Restormer", "+ cyclic + CAG"], 1, None, 1, *recipes)
    out = tmp_path / "out"
    told: list[str] = []
    stages: list[str] = []
    results = run_restore(plan, out, progress=stages.append, told=told.append)
    assert len(stages) == plan.steps
    assert [line.split(":")[0] for line in told] == ["classifier-1", "restormer-1", "cyclic-cag-1"]
    text = (out / "restore.md").read_text()
    for part in ("Table 1", "Ablation (Table 3)", "AUC on held-out", "| + cyclic + CAG |", "motion+noise, severe"):
        assert part in text
    assert (out / "examples.png").exists() and (out / "explanations.png").exists()
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 16
    mean = np.mean([float(r["psnr"]) for r in rows if r["method"] == "Restormer" and r["mixture"] != "clean"])
    assert f"| Restormer | {mean:.2f} ±" in text
    assert results.rows["Restormer"][1][0].mixture == "clean"

    (out / "restore.md").unlink()
    weights = (out / "runs/restormer-1/last.safetensors").stat().st_mtime_ns
    options = ["--seeds", "1", "--slices", "1", "--recipe", str(recipes[0]), "--classifier", str(recipes[1]), "--force"]
    options += ["--method", "Restormer", "--method", "+ cyclic + CAG"]
    with pytest.raises(SystemExit) as end:
        main(["bench", "restore", "-o", str(out), "--data", str(data), *options])
    assert not end.value.code, capsys.readouterr().err
    assert (out / "restore.md").read_text() == text
    assert (out / "runs/restormer-1/last.safetensors").stat().st_mtime_ns == weights
    for path in plan.outputs(out):
        path.unlink(missing_ok=True)
    with pytest.raises(ConfigError, match=r"restormer-1: this training had another recipe \(training\.steps differs\)"):
        run_restore(plan_restore(data, ["Restormer"], 1, 3, 1, *recipes), out)


def test_auc_of_a_source_counts_mixtures_and_alone_does_not(tmp_path: Path) -> None:
    tests = make_tests(volumes(tmp_path, 1), 2)
    networks, front = base_recipes(None, None)
    seen = torch.stack([test.labels for test in tests])
    seen[[test.mixture == "motion+noise" for test in tests], 0] = -1  # blind to motion where there is noise
    results = RestoreResults(networks, front, (1,), tests, {}, {1: seen}, {}, "here")
    columns, lines = auc_table(results)
    assert columns == ["source", "mild", "moderate", "severe"]
    table = {name: cells for name, *cells in lines}
    assert table["noise"] == table["noise alone"] == table["motion alone"] == ["1.000 ± 0.000"] * 3
    assert table["motion"] == [f"{2 / 3:.3f} ± 0.000"] * 3  # motion, alone or with low resolution, above all others


def test_what_cannot_be_compared_is_refused(tmp_path: Path, recipes: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="--data"):
        plan_restore(None)
    with pytest.raises(ConfigError, match="expected one of SRGAN, pix2pix"):
        plan_restore(tmp_path, ["UNet"])
    with pytest.raises(ConfigError, match="with the model cag"):
        base_recipes(recipes[1], recipes[1])
    front = yaml.safe_load(recipes[1].read_text())
    (tmp_path / "thin.yaml").write_text(yaml.safe_dump({**front, "data": {**front["data"], "slices": 4}}))
    with pytest.raises(ConfigError, match=r"other data\.slices"):
        base_recipes(recipes[0], tmp_path / "thin.yaml")


def test_no_training_stops_early(tmp_path: Path, recipes: tuple[Path, Path]) -> None:
    patient = yaml.safe_load(recipes[0].read_text())
    (tmp_path / "early.yaml").write_text(
        yaml.safe_dump({**patient, "training": {**patient["training"], "early_stop": 1}})
    )
    assert all(recipe.training.early_stop is None for recipe in base_recipes(tmp_path / "early.yaml", recipes[1]))


def test_images_of_any_size_are_classified_and_explained(tmp_path: Path) -> None:
    head = read_clean(write_head(tmp_path / "v.nii.gz", head_array()), (44, 36), 8)
    torch.manual_seed(0)
    network = CAG(3, 3, **SIZES["cag"])
    tests = make_tests([head], 1)
    assert classify_tests(network.classifier, tests[:2]).shape == (2, 4)
    assert all(case.explanation.shape == (44, 36) for case in explain_locally(network, [head]))
