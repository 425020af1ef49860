"""What the restoration benchmark gives: the paper's three tables, and more of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kascade.benchmarks.restore_explain import LocalCase
from kascade.benchmarks.restore_lowfield import LowField
from kascade.benchmarks.restore_methods import ABLATION, PEERS
from kascade.benchmarks.restore_tests import MIXTURES, ImageRow, RestoreTest
from kascade.benchmarks.tables import Table, gain_text, markdown_table, rows_csv, spread_text
from kascade.data.degradation import LABELS, SEVERITIES, SOURCES
from kascade.report.restoration_score import NO_REFERENCE, roc_auc
from kascade.train.restoration.recipe import RestorationRecipe

__all__ = ["RestoreResults", "restore_csv", "restore_markdown", "summary_table"]


@dataclass(frozen=True, eq=False)
class RestoreResults:
    """Everything that was measured.

    Attributes
    ----------
    recipe, classifier : RestorationRecipe
        As in the plan.
    seeds : tuple of int
    tests : sequence of RestoreTest
    rows : dict
        Scores by method and seed; of "degraded", the images as they are, by seed 0.
    logits : dict
        Of the classifier, (tests, 4), by seed.
    hours : dict
        Training time by method and seed, the classifier's included where it was needed.
    machine : str
    """

    recipe: RestorationRecipe
    classifier: RestorationRecipe
    seeds: tuple[int, ...]
    tests: Sequence[RestoreTest]
    rows: dict[str, dict[int, list[ImageRow]]]
    logits: dict[int, Tensor]
    hours: dict[tuple[str, int], float]
    machine: str


def restore_csv(results: RestoreResults) -> str:
    """Every score as text of comma-separated values."""
    return rows_csv(ImageRow, results.rows)


def summary_table(results: RestoreResults, names: Sequence[str]) -> Table:
    """PSNR, SSIM and RMSE of degraded images, mean and standard deviation over images (means over seeds).

    "gain" is that in PSNR over the degraded image, with the standard deviation between seeds.
    """
    columns = ["method", "PSNR [dB]", "SSIM", "RMSE", "gain [dB]", "seeds", "hours each"]
    lines = []
    for name in ["degraded", *names]:
        if name not in results.rows:
            continue
        by_seed = [_degraded(rows) for rows in results.rows[name].values()]
        cells = [spread_text([[getattr(row, key) for row in rows] for rows in by_seed], form) for key, form in _FORMS]
        hours = [value for (method, _), value in results.hours.items() if method == name]
        lines.append(
            [name, *cells, _gain(results, name, MIXTURES), str(len(by_seed)), f"{np.mean(hours):.2f}" if hours else "-"]
        )
    return columns, lines


def mixture_table(results: RestoreResults) -> Table:
    """Gain in PSNR over the degraded image, by mixture and severity; of clean images the PSNR that is left."""
    names = [name for name in results.rows if name != "degraded"]
    lines = []
    for mixture in MIXTURES:
        for severity in SEVERITIES:
            before = _mean_psnr(results, "degraded", (mixture,), severity)[0]
            gains = [_gain(results, name, (mixture,), severity) for name in names]
            lines.append([f"{mixture}, {severity}", f"{before:.2f} dB", *gains])
    left = [f"{np.mean(_mean_psnr(results, name, ('clean',), '')):.2f} dB" for name in names]
    return ["", "degraded", *names], [*lines, ["clean images", "-", *left]]


def auc_table(results: RestoreResults) -> Table:
    """AUC of the classifier for each source and severity: images that have it against all others and clean ones.

    Rows "alone" are of images with nothing else against clean ones only.
    """
    lines = []
    for source in SOURCES:
        lines.append([source, *(_auc_text(results, source, severity) for severity in SEVERITIES)])
    for source in SOURCES:
        lines.append([f"{source} alone", *(_auc_text(results, source, severity, True) for severity in SEVERITIES)])
    return ["source", *SEVERITIES], lines


def _auc_text(results: RestoreResults, source: str, severity: str, alone: bool = False) -> str:
    """Mean and standard deviation over seeds."""
    tests = [(n, test.mixture) for n, test in enumerate(results.tests) if test.severity in (severity, "")]
    tests = [(n, mixture) for n, mixture in tests if not alone or mixture in (source, "clean")]
    chosen, truth = [n for n, _ in tests], [source in mixture.split("+") for _, mixture in tests]
    values = [roc_auc(logits[chosen, LABELS.index(source)], truth) for logits in results.logits.values()]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def no_reference_table(results: RestoreResults) -> Table:
    """Tenengrad, entropy and range, mean and standard deviation over images with motion alone; of clean ones, too."""
    lines = []
    for name in ["degraded", *PEERS]:
        if name in results.rows:
            moved = [[row for row in rows if row.mixture == "motion"] for rows in results.rows[name].values()]
            lines.append([name, *_alone(moved)])
    clean = [[row for row in rows if row.mixture == "clean"] for rows in results.rows["degraded"].values()]
    return ["images with motion", *NO_REFERENCE], [*lines, ["(clean images)", *_alone(clean)]]


def restore_markdown(results: RestoreResults, local: Sequence[LocalCase], low: Sequence[LowField]) -> str:
    """All tables, with what they were measured on."""
    training, subjects = results.recipe.training, sorted({test.subject for test in results.tests})
    rows, columns = results.recipe.data.patch or results.recipe.data.matrix
    text = [
        "# Restoration benchmark",
        "",
        f"{len(results.tests)} test images of {len(subjects)} subjects that no training saw. Every network: "
        f"{training.steps} steps of {training.batch} patches of {rows} x {columns} px, "
        f"the same examples in the same order; seeds {', '.join(map(str, results.seeds))}; {results.machine}. The "
        f"classifier that CAG starts from: {results.classifier.training.steps} steps of "
        f"{results.classifier.training.batch}. Scores are of the middle slice within the head, on the scale [-1, 1].",
        "",
    ]
    sections: list[tuple[str, Table]] = [
        ("Networks (the paper's Table 1), all mixtures and severities", summary_table(results, PEERS)),
        ("Ablation (Table 3)", summary_table(results, ABLATION)),
        ("Gain in PSNR [dB] by degradation", mixture_table(results)),
        ("Classifier: AUC on held-out subjects", auc_table(results)),
        ("Without a reference (Table 2), simulated motion", no_reference_table(results)),
    ]
    sections += [(f"Without a reference, {case.name}", _low_table(case)) for case in low]
    if local:
        sections.append(("Explanations of images that are degraded within a disk only", _local_table(local)))
    for title, table in sections:
        text += [f"## {title}", "", markdown_table(table), ""]
    return "\n".join(text)


_FORMS = (("psnr", ".2f"), ("ssim", ".3f"), ("rmse", ".4f"))


def _degraded(rows: Sequence[ImageRow]) -> list[ImageRow]:
    return [row for row in rows if row.mixture != "clean"]


def _alone(by_seed: Sequence[Sequence[ImageRow]]) -> list[str]:
    return [spread_text([[getattr(row, key) for row in rows] for rows in by_seed], ".4g") for key in NO_REFERENCE]


def _mean_psnr(results: RestoreResults, name: str, mixtures: Sequence[str], severity: str | None = None) -> list[float]:
    """Mean over images, of each seed."""
    return [
        float(np.mean([r.psnr for r in rows if r.mixture in mixtures and severity in (None, r.severity)]))
        for rows in results.rows[name].values()
    ]


def _gain(results: RestoreResults, name: str, mixtures: Sequence[str], severity: str | None = None) -> str:
    if name == "degraded":
        return "-"
    before = _mean_psnr(results, "degraded", mixtures, severity)[0]
    return gain_text([value - before for value in _mean_psnr(results, name, mixtures, severity)])


def _low_table(case: LowField) -> Table:
    lines = [[name, *(f"{scores[key]:.4g}" for key in NO_REFERENCE)] for name, scores in case.scores.items()]
    return ["method", *NO_REFERENCE], lines


def _local_table(local: Sequence[LocalCase]) -> Table:
    sources: Mapping[str, list[float]] = {
        source: [case.concentration for case in local if case.source == source] for source in SOURCES
    }
    lines = [
        [source, f"{math.exp(np.mean(np.log(np.maximum(values, 1e-12)))):.2f}", f"{min(values):.2f}"]
        for source, values in sources.items()
    ]
    return ["source", "explanation in the disk / elsewhere in the head (geometric mean)", "worst subject"], lines
