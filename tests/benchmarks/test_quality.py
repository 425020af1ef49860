"""The quality benchmark: cases, methods at their best weights, scores, tables, figures, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from kascade.benchmarks import quality_cases, quality_methods, quality_run
from kascade.benchmarks.quality import CaseResult, QualityRow, choose, run_cases
from kascade.benchmarks.quality_cases import Case, Piece, lacking, measured_cases, simulated_cases
from kascade.benchmarks.quality_methods import Attempt, Contender, classical, trained
from kascade.benchmarks.quality_report import case_figure, quality_csv, quality_markdown, quality_table
from kascade.benchmarks.quality_run import plan_quality, run_quality
from kascade.data import Scan
from kascade.errors import ConfigError, FileFormatError, KascadeError, OutputError
from kascade.physics import ifft
from kascade.physics.rss import rss
from kascade.report.head_score import score_against_rss
from tests.recon.test_methods import scan_of_a_disc
from tests.tiny_models import save_tiny_model


def disc(reference: bool = True) -> Piece:
    scan = scan_of_a_disc(coils=4, noise=0.03)
    truth = scan.target(0)
    assert truth is not None
    mask = (torch.arange(48) % 2 == 0) | ((torch.arange(48) - 24).abs() < 8)
    return Piece(replace(scan.undersample(mask), targets=None), truth.numpy() if reference else None)


def case(name: str = "disc", kind: str = "simulated", slices: int = 1) -> Case:
    return Case(name, f"A {name}", kind, lambda: [disc(kind in ("simulated", "measured"))] * slices)


def noisy(levels: list[float]) -> Contender:
    """Attempts with so much noise, the first being its own choice."""

    def attempts(scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
        image = disc().reference
        assert image is not None
        for level in levels if tune else levels[:1]:
            noise = np.random.default_rng(0).standard_normal(image.shape)
            yield Attempt(np.abs(image + level * noise), f"level {level:g}", 0.5)

    return attempts


def broken(scan: Scan, sets: int, tune: bool) -> Iterator[Attempt]:
    raise KascadeError("out of order")
    yield


def test_the_best_attempt_counts_where_there_is_a_reference() -> None:
    result = next(iter(run_cases([case(slices=2)], {"SENSE": noisy([0.3, 0.1, 0.2])})))
    (row,) = result.rows
    assert (row.setting, row.slices, row.seconds) == ("level 0.1", 2, 0.5)
    reference = disc().reference
    assert reference is not None
    assert row.psnr == pytest.approx(score_against_rss(result.images["SENSE"][0], reference)["psnr"])


def test_without_a_reference_the_methods_own_choice_counts() -> None:
    result = next(iter(run_cases([case(kind="without reference")], {"SENSE": noisy([0.3, 0.1])})))
    assert (result.rows[0].setting, result.rows[0].psnr) == ("level 0.3", None)


def test_a_method_that_fails_does_not_stop_the_others() -> None:
    told: list[str] = []
    result = next(iter(run_cases([case()], {"wavelet": broken, "TV": noisy([0.1])}, told.append)))
    assert [row.method for row in result.rows] == ["TV"]
    assert result.problems == ("disc: wavelet: out of order",)
    assert told == ["disc: wavelet", "disc: TV"]


def test_data_that_cannot_be_read_do_not_stop_the_other_cases() -> None:
    def damaged() -> list[Piece]:
        raise FileFormatError("x.nii: is truncated")

    results = list(run_cases([replace(case("bad"), pieces=damaged), case()], {"TV": noisy([0.1])}))
    assert results[0].problems == ("bad: x.nii: is truncated",) and not results[0].rows
    assert [row.case for row in results[1].rows] == ["disc"]
    assert case_figure(results[0]) is None and "- bad: x.nii: is truncated" in quality_markdown(results)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        next(iter(run_cases([], {"TV": noisy([0.1])})))
    with pytest.raises(ConfigError, match="case 'magic' is unknown or its data are not there; choose among disc"):
        choose([case()], ["magic"])


@pytest.mark.parametrize("name", ["zero-filled", "SENSE", "wavelet", "TV", "model"])
def test_every_method_tries_its_weights_and_resembles_the_truth(name: str, tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "model.safetensors", {})
    contender = {**classical(with_bart=False), **trained([str(path)])}[name]
    piece = disc()
    assert piece.reference is not None
    attempts = list(contender(piece.scan, 1, True))
    assert len({attempt.setting for attempt in attempts}) == {"SENSE": 4, "wavelet": 3, "TV": 3}.get(name, 1)
    assert len(list(contender(piece.scan, 1, False))) == 1
    for attempt in attempts:
        assert attempt.seconds > 0 and attempt.image.dtype.kind == "f"
    best = max(score_against_rss(attempt.image, piece.reference)["psnr"] for attempt in attempts)
    assert best > (14 if name == "zero-filled" else 20)


@pytest.mark.bart
def test_bart_on_whitened_coils_and_two_sets() -> None:
    piece = disc()
    assert piece.reference is not None
    covariance = 0.01 * (torch.eye(4) + 0.2).to(torch.complex64)
    for scan, sets in ((piece.scan, 1), (replace(piece.scan, noise_covariance=covariance), 1), (piece.scan, 2)):
        attempts = list(classical()["BART wavelet"](scan, sets, True))
        assert len(attempts) == 8
        assert max(score_against_rss(a.image, piece.reference)["psnr"] for a in attempts) > 20
    assert list(classical()["BART wavelet"](piece.scan, 1, False)) == []


def test_models_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [str(save_tiny_model(tmp_path / folder / "x.safetensors")) for folder in "ab"]
    assert list(trained(paths[:1])) == ["x"]
    with pytest.raises(ConfigError, match="two models are called 'x'"):
        trained(paths)


# --- cases ----------------------------------------------------------------------------------------------------------


def test_measured_cases_are_those_whose_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "kspace").mkdir()
    full = np.stack([scan_of_a_disc(coils=6, n=64).kspace[0].numpy()] * 2)
    np.save(tmp_path / "kspace" / "gre_32ch.npy", full)
    cases = measured_cases(tmp_path)
    assert [case.name for case in cases] == ["gre-0-r4", "gre-1-r4"]
    assert "kspace/full.cfl" in lacking(tmp_path) and "kspace/gre_32ch.npy" not in lacking(tmp_path)
    (piece,) = cases[1].pieces()
    assert piece.reference is not None and piece.scan.mask is not None
    np.testing.assert_allclose(piece.reference, rss(ifft(torch.from_numpy(full[1]))).numpy(), rtol=1e-4, atol=1e-5)
    assert piece.scan.mask.nonzero().flatten().tolist() == sorted({*range(0, 64, 4), *range(24, 40)})
    with pytest.raises(ConfigError, match="not a folder"):
        measured_cases(tmp_path / "nothing")


def test_simulated_scans_have_a_truth_but_no_true_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_cases, "PHANTOM_SHAPE", (2, 64, 64))
    volume = np.zeros((40, 44, 30), np.float32)
    volume[10:30, 8:36, 5:25] = 1
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([3.0, 3.0, 3.0, 1.0])), tmp_path / "sub-1.nii.gz")
    cases = simulated_cases([tmp_path / "sub-1.nii.gz"])
    assert [case.name for case in cases] == ["phantom-r4", "phantom-r6", "sub-1-r4", "sub-1-r6"]
    for four, six in (cases[:2], cases[2:]):
        for piece, other in zip(four.pieces(), six.pieces(), strict=True):
            assert piece.scan.maps is None and piece.scan.targets is None
            assert piece.reference is not None and other.reference is not None
            assert piece.reference.max() > 0
            np.testing.assert_array_equal(piece.reference, other.reference)
            assert piece.scan.mask is not None and other.scan.mask is not None
            assert piece.scan.mask.sum() > other.scan.mask.sum()
    assert [len(case.pieces()) for case in cases] == [2, 2, 3, 3]


# --- tables, figures, files -----------------------------------------------------------------------------------------


def result(name: str, kind: str = "simulated", **psnr: float) -> CaseResult:
    made = case(name, kind)
    rows = [QualityRow(name, method, "", value, 0.9, 0.1, 1.0, 1) for method, value in psnr.items()]
    pieces = made.pieces()
    images = {method: [np.abs(np.random.default_rng(3).random((48, 48)))] for method in psnr}
    if kind not in ("simulated", "measured"):
        rows = [replace(row, psnr=None, ssim=None, nrmse=None) for row in rows]
    return CaseResult(made, tuple(rows), [piece.reference for piece in pieces], images, ())


def test_the_table_tells_the_gain_over_the_best_classical_method() -> None:
    results = [result("a", wavelet=30.0, TV=31.0, ours=32.5), result("b", wavelet=33.0, TV=32.0, ours=32.5)]
    columns, lines = quality_table([*results, result("c", "without reference", wavelet=1.0)])
    assert columns == ["case", "wavelet", "TV", "ours", "gain of ours"]
    assert lines[0] == ["a", "30.00 / 0.900", "31.00 / 0.900", "32.50 / 0.900", "+1.50"]
    assert [line[-1] for line in lines] == ["+1.50", "-0.50", "+0.50"]
    assert lines[2][:2] == ["mean", "31.50 / 0.900"]


def test_a_method_that_lacks_a_case_has_no_mean() -> None:
    _, lines = quality_table([result("a", wavelet=30.0, TV=31.0), result("b", TV=32.0)])
    assert lines[1][1] == "-" and lines[2] == ["mean", "-", "31.50 / 0.900"]


def test_csv_and_markdown_hold_every_row() -> None:
    results = [result("a", wavelet=30.0, ours=32.5), replace(result("c", "denoising", TV=1.0), problems=("c: no",))]
    rows = list(csv.DictReader(io.StringIO(quality_csv(results))))
    assert [(row["case"], row["method"], row["psnr"]) for row in rows] == [
        ("a", "wavelet", "30"),
        ("a", "ours", "32.5"),
        ("c", "TV", ""),
    ]
    text = quality_markdown(results)
    assert "| a | 30.00 / 0.900 | 32.50 / 0.900 | +2.50 |" in text
    assert "| c | A c | 1 |" in text and "- c: no" in text


def test_figures() -> None:
    scored = case_figure(result("a", wavelet=30.0, SENSE=20.0, ours=32.5))
    assert scored is not None
    texts = [text.get_text() for text in scored.texts]
    assert {"Reference", "wavelet", "ours", "A a", "5 x brighter"} <= set(texts) and "SENSE" not in texts
    plain = case_figure(result("c", "without reference", TV=1.0, ours=1.0))
    assert plain is not None and len(plain.axes) == 2
    assert case_figure(result("d", SENSE=1.0)) is None


def test_a_denoising_figure_shows_what_was_taken_away() -> None:
    images = {"zero-filled": [np.ones((20, 20))], "ours": [np.full((20, 20), 0.75)]}
    figure = case_figure(replace(result("c", "denoising"), images=images))
    assert figure is not None and len(figure.axes) == 3
    np.testing.assert_allclose(figure.axes[2].images[0].get_array(), 0.25)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small phantom, two quick methods."""
    monkeypatch.setattr(quality_cases, "PHANTOM_SHAPE", (1, 64, 64))
    monkeypatch.setattr(quality_methods, "SENSE_LAMBDAS", (5.0, 2.5))
    monkeypatch.setattr(quality_methods, "bart_missing", lambda: "not here")
    monkeypatch.setattr(quality_run, "bart_missing", lambda: "not here")


def test_a_run_writes_tables_and_figures(small: None, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "tiny.safetensors", {})
    plan = plan_quality(models=[str(model)], cases=["phantom-r4"])
    assert list(plan.contenders) == ["zero-filled", "SENSE", "wavelet", "TV", "tiny"]
    assert any("no measured data" in note for note in plan.notes) and "without BART: not here" in plan.notes
    told: list[str] = []
    results = run_quality(plan, tmp_path / "q", progress=told.append)
    assert len(told) == plan.steps == 5
    assert sorted(path.name for path in (tmp_path / "q").iterdir()) == ["phantom-r4.png", "quality.csv", "quality.md"]
    scores = {row.method: row.psnr or 0 for row in results[0].rows}
    assert scores["zero-filled"] < scores["SENSE"] < max(scores["wavelet"], scores["TV"])
    with pytest.raises(OutputError, match=r"quality\.csv: exists already"):
        run_quality(plan, tmp_path / "q")


def test_subjects_that_are_not_there_or_of_one_name_are_refused_before_any_work(small: None, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "T1.nii.gz").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no\.nii: there is no such file; expected a NIfTI volume"):
        plan_quality(subjects=[tmp_path / "no.nii"])
    with pytest.raises(ConfigError, match="two cases are called 'T1-r4'"):
        plan_quality(subjects=[tmp_path / "a/T1.nii.gz", tmp_path / "b/T1.nii.gz"])


def test_data_that_are_not_there_are_told(small: None, tmp_path: Path) -> None:
    plan = plan_quality(data=tmp_path)
    assert f"{tmp_path / 'kspace/full.cfl'}: not there, its cases are left out" in plan.notes
    assert [case.name for case in plan.cases] == ["phantom-r4", "phantom-r6"]


def test_measured_data_score_as_documented(real_data: Path) -> None:
    cases = {case.name: case for case in measured_cases(real_data)}
    assert len(cases) == 8 and lacking(real_data) == []
    for name in ("t1-r4", "gre-0-r4", "alias-r4", "t1-2x2"):
        (row,) = next(iter(run_cases([cases[name]], {"SENSE": classical()["SENSE"]}))).rows
        expected = {"t1-r4": 30.67, "gre-0-r4": 35.7, "alias-r4": 29.86, "t1-2x2": 33.86}[name]  # docs/quality.md
        assert row.psnr is not None and row.psnr > expected - 0.15
    without = [case.name for case in cases.values() if case.pieces()[0].reference is None]
    assert without == ["poisson", "lowfield"]
