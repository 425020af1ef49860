"""A run of the quality benchmark: what is compared on what, and the files that it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kascade.benchmarks.quality import CaseResult, choose, run_cases
from kascade.benchmarks.quality_cases import Case, lacking, measured_cases, simulated_cases
from kascade.benchmarks.quality_methods import Contender, bart_missing, classical, trained
from kascade.benchmarks.quality_report import case_figure, quality_csv, quality_markdown
from kascade.data.atomic import atomic_output, refuse_existing
from kascade.errors import ConfigError
from kascade.recon.outputs import make_folder
from kascade.report.figures import save_figure

__all__ = ["QualityPlan", "plan_quality", "run_quality"]


@dataclass(frozen=True)
class QualityPlan:
    """What is compared on what.

    Attributes
    ----------
    cases : list of Case
        The scans.
    contenders : dict
        The methods by name.
    notes : tuple of str
        What is left out, and why.
    """

    cases: list[Case]
    contenders: dict[str, Contender]
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """How often a run tells of its progress."""
        return len(self.cases) * len(self.contenders)

    def outputs(self, folder: Path) -> list[Path]:
        """Files of a run: the two tables, then the figures."""
        names = ["quality.csv", "quality.md", *(f"{case.name}.png" for case in self.cases)]
        return [folder / name for name in names]


def plan_quality(
    data: Path | None = None,
    subjects: Sequence[Path] = (),
    models: Sequence[str] = (),
    cases: Sequence[str] = (),
) -> QualityPlan:
    """Find data and models.

    Parameters
    ----------
    data : Path, optional
        Folder of measured data; without it, there are simulated scans only.
    subjects : sequence of Path
        NIfTI volumes to simulate scans of.
    models : sequence of str
        Trained models; those that came with Kascade where none is named.
    cases : sequence of str
        Names of the cases to do; all by default.

    Returns
    -------
    QualityPlan

    Raises
    ------
    ConfigError
        If a folder, a subject, a model or a case is not there, or two subjects have one name.
    """
    absent = [path for path in subjects if not path.is_file()]
    if absent:
        raise ConfigError(f"{absent[0]}: there is no such file; expected a NIfTI volume to simulate scans of")
    notes = []
    found: list[Case] = []
    if data is None:
        notes.append("no measured data: --data or $KASCADE_DATA would name their folder")
    else:
        found += measured_cases(data)
        notes += [f"{data / file}: not there, its cases are left out" for file in lacking(data)]
    found += simulated_cases(subjects)
    missing = bart_missing()
    if missing is not None:
        notes.append(f"without BART: {missing}")
    learned = trained(models)
    if not learned:
        notes.append("without a trained model: none came with this installation; name one with --model")
    return QualityPlan(choose(found, cases), {**classical(), **learned}, tuple(notes))


def run_quality(
    plan: QualityPlan, folder: Path, force: bool = False, progress: Callable[[str], None] | None = None
) -> list[CaseResult]:
    """Measure, and write ``quality.csv``, ``quality.md`` and ``CASE.png`` for each case.

    Parameters
    ----------
    plan : QualityPlan
        What is compared on what.
    folder : Path
        Is made where it is missing.
    force : bool
        Replace existing files.
    progress : callable, optional
        Called with a description `plan.steps` times.

    Returns
    -------
    list of CaseResult
        Without the images, which are in the figures.

    Raises
    ------
    OutputError
        If a file exists (and not `force`) or cannot be written.
    """
    make_folder(folder)
    outputs = plan.outputs(folder)
    for path in outputs:
        refuse_existing(path, force)
    results: list[CaseResult] = []
    for result in run_cases(plan.cases, plan.contenders, progress):
        figure = case_figure(result)
        if figure is not None:
            save_figure(figure, folder / f"{result.case.name}.png", force)
        results.append(replace(result, images={}))
    for path, text in zip(outputs[:2], (quality_csv(results), quality_markdown(results)), strict=True):
        with atomic_output(path, force) as beside:
            beside.write_text(text, encoding="utf-8")
    return results
