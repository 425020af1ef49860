"""Tables and figures of the lambda benchmark."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from kascade.benchmarks.lambda_schedules import choose_schedules
from kascade.benchmarks.lambda_schedules_figures import cascade_figure, lambda_figure, meaning_figure
from kascade.benchmarks.lambda_schedules_report import (
    csv_files,
    difference_rows,
    differences,
    lambda_markdown,
    score_rows,
)
from tests.benchmarks.lambda_tiny import made_up


def test_the_best_constant_is_chosen_by_validation_alone() -> None:
    results = made_up()
    assert results.best_constant == "constant-1"
    turned = [replace(t, validation_psnr=20 + float(t.schedule == "constant-6")) for t in results.trainings]
    assert replace(results, trainings=tuple(turned)).best_constant == "constant-6"
    assert results.shown == ["learned", "tied", "constant-1"]
    assert replace(results, schedules=tuple(choose_schedules(["tied"]))).best_constant is None


def test_scores_are_means_over_seeds_and_scans() -> None:
    columns, rows = score_rows(made_up())
    assert columns == ["schedule", "validation", "R = 4", "R = 6"]
    assert [row[0] for row in rows] == ["learned", "tied", "constant-1 (best constant)", "constant-2.5", "constant-6"]
    learned, tied = (float(row[2].split(" ± ")[0]) for row in rows[:2])
    assert learned == pytest.approx(26.25, abs=0.03) and learned - tied == pytest.approx(0.5, abs=0.03)
    assert rows[0][2].endswith("/ 0.9000") and rows[1][1] == "30.50"
    assert len(score_rows(made_up(measured=True))[0]) == 6


def test_one_seed_has_no_spread() -> None:
    _, rows = score_rows(made_up(seeds=1))
    assert "±" not in rows[0][2]


def test_differences_are_learned_minus_the_others() -> None:
    found = {(s, a, m): d for s, a, m, _, d in differences(made_up(seeds=3))}
    assert len(found) == 4 * 2 * 2
    assert found["tied", 4, "psnr"].mean == pytest.approx(0.5, abs=0.03)
    assert found["constant-6", 6, "psnr"].mean == pytest.approx(6, abs=0.03)
    assert found["constant-6", 6, "ssim"].mean == pytest.approx(0.06)
    columns, rows = difference_rows(made_up(seeds=3))
    assert columns[:2] == ["learned minus", "PSNR [dB], R = 4"] and len(rows) == 4
    d = found["tied", 4, "psnr"]
    assert rows[0][1] == f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
    assert sum(measured for *_, measured, _ in differences(made_up(measured=True))) == 16


def test_csv_files_hold_every_number() -> None:
    results = made_up(measured=True)
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in csv_files(results).items()}
    assert set(tables) == {"scores.csv", "differences.csv", "iterations.csv", "noise.csv"}
    assert len(tables["scores.csv"]) == len(results.scores)
    first, step = tables["scores.csv"][0], tables["iterations.csv"][1]
    assert float(first["psnr"]) == pytest.approx(results.scores[0].psnr, rel=1e-5) and first["measured"] == "0"
    assert len(tables["iterations.csv"]) == 2 * len(results.scores)
    assert step["iteration"] == "2" and float(step["psnr_z"]) == pytest.approx(results.scores[0].z[1], rel=1e-5)
    assert float(step["lam"]) == results.scores[0].lam[1]
    assert len(tables["noise.csv"]) == len(results.gains)
    assert {row["measured"] for row in tables["differences.csv"]} == {"0", "1"}


def test_markdown_says_what_was_done_and_how_sure_it_is() -> None:
    text = lambda_markdown(made_up(seeds=3, measured=True))
    assert "5 schedules x 3 seeds" in text and "1.5 minutes (1.5 to 1.5), 0.25 s a step, on 1 core" in text
    assert "3 slices of 2 simulated scans" in text and "`kspace/full.cfl`, measured" in text
    assert "over 3 seeds x 2 scans" in text and "(Hillis 2007)" in text
    assert "constant, 1, is at the edge" in text
    assert "| learned | 5.20 (5.10 - 5.30) | 1.00 |" in text
    assert "| simulated | 4 | 2.00 | 2 | 18.00 | 1 | 0.5000 |" in text
    assert "| learned | 2.00 / 3.00 | 2.00 / 2.00 | 2.50 |" in text
    single = lambda_markdown(made_up(seeds=1, schedules=("tied",)))
    assert "of one seed: the interval tells nothing of what another seed would give" in single
    assert "edge" not in single
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().splitlines()}) == 1


def test_table_1_stands_beside_cascades_of_its_length() -> None:
    results = made_up(schedules=("tied",))
    longer = [replace(t, scores=tuple(replace(s, lam=(3.0,) * 6) for s in t.scores)) for t in results.trainings]
    assert "| Nickel's Table 1 | 7.05 | 7.05 | 3.91 | 1.85 | 1.11 | 0.91 |" in lambda_markdown(
        replace(results, trainings=tuple(longer))
    )
    assert "Nickel's Table 1" not in lambda_markdown(results)


def test_predicted_lambdas_are_told_for_each_acceleration() -> None:
    results = made_up(schedules=("predicted",))
    turned = [
        replace(t, scores=tuple(replace(s, lam=(float(s.accel), 1.0)) for s in t.scores))
        if t.schedule == "predicted"
        else t
        for t in results.trainings
    ]
    results = replace(results, trainings=tuple(turned))
    text = lambda_markdown(results)
    assert "| predicted, R = 4 | 4.00 | 1.00 |" in text and "| predicted, R = 6 | 6.00 | 1.00 |" in text
    labels = [text.get_text() for text in lambda_figure(results).axes[0].get_legend().get_texts()]
    assert labels == ["learned (dots: seeds)", "predicted, R = 4", "predicted, R = 6"]


def test_the_figure_along_the_cascade_holds_x_and_z_in_turn() -> None:
    results = made_up()
    figure = cascade_figure(results)
    assert len(figure.axes) == 2
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [1, 1.5, 2, 2.5])
    learned = [s for s in results.scores if (s.schedule, s.accel) == ("learned", 4)]
    level = float(line.get_ydata()[-1])
    assert min(s.psnr for s in learned) < level < max(s.psnr for s in learned)
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels == ["learned", "tied", "constant-1"]


def test_the_figure_of_lambda_shows_image_error_and_gain() -> None:
    results = made_up()
    figure = meaning_figure(results.examples, results.example_truth)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 1 + 3 * 2
    np.testing.assert_allclose(images[2], 0.1)
    np.testing.assert_allclose(np.exp(images[3])[5:15, 4:12], 0.9)
    texts = [text.get_text() for text in figure.texts]
    assert {"λ = 1", "λ = 5", "21.0 dB", "noise gain 4.50, 95 % < 4.50"} <= set(texts)
