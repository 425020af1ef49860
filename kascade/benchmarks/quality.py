"""The quality benchmark: zero-filled, SENSE, wavelet, TV, BART and trained models on the same scans, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.quality_cases import Case, Piece
from kascade.benchmarks.quality_methods import Attempt, Contender
from kascade.errors import ConfigError, KascadeError
from kascade.report.head_score import score_against_rss

__all__ = ["CaseResult", "QualityRow", "choose", "run_cases"]

Image = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class QualityRow:
    """One method on one case, averaged over slices.

    Attributes
    ----------
    case, method : str
        Names.
    setting : str
        Weight of the method, that of the best score for each slice.
    psnr, ssim, nrmse : float or None
        Inside the head (`kascade.report.head_score`); PSNR in dB; None without a reference.
    seconds : float
        For one slice, calibration included, at one weight.
    slices : int
        How many were averaged.
    """

    case: str
    method: str
    setting: str
    psnr: float | None
    ssim: float | None
    nrmse: float | None
    seconds: float
    slices: int


@dataclass(frozen=True)
class CaseResult:
    """One case by every method.

    Attributes
    ----------
    case : Case
        The case.
    rows : tuple of QualityRow
        For each method that could do it.
    references : list of array or None
        For each slice.
    images : dict
        Method to its image of each slice.
    problems : tuple of str
        Why a method could not do it, or the data could not be read.
    """

    case: Case
    rows: tuple[QualityRow, ...]
    references: list[Image | None]
    images: dict[str, list[Image]]
    problems: tuple[str, ...]


def choose(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """The cases of these names; all where none is given.

    Raises
    ------
    ConfigError
        If there is no such case, or two have one name: their figures would be one file.
    """
    known = {case.name: case for case in cases}
    if len(known) < len(cases):
        twice = next(name for name, count in Counter(case.name for case in cases).items() if count > 1)
        raise ConfigError(f"two cases are called {twice!r}; rename the file of one subject")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"case {unknown[0]!r} is unknown or its data are not there; choose among {', '.join(known)}")
    return [known[name] for name in names] if names else list(cases)


def run_cases(
    cases: Sequence[Case], contenders: Mapping[str, Contender], progress: Callable[[str], None] | None = None
) -> Iterator[CaseResult]:
    """Reconstruct and score.

    Parameters
    ----------
    cases : sequence of Case
        See `kascade.benchmarks.quality_cases`.
    contenders : mapping
        See `kascade.benchmarks.quality_methods`.
    progress : callable, optional
        Called with a description before each method of each case.

    Yields
    ------
    CaseResult
        For each case, when it is done; without rows where its data cannot be read.

    Raises
    ------
    ConfigError
        If there is nothing to compare.
    """
    if not cases or not contenders:
        raise ConfigError(f"quality benchmark of {len(cases)} cases and {len(contenders)} methods: nothing to compare")
    tell = progress or (lambda text: None)
    for case in cases:
        try:
            pieces = case.pieces()
        except KascadeError as error:
            yield CaseResult(case, (), [], {}, (f"{case.name}: {error}",))
            continue
        rows: list[QualityRow] = []
        images: dict[str, list[Image]] = {}
        problems: list[str] = []
        for name, contender in contenders.items():
            tell(f"{case.name}: {name}")
            try:
                best = [_best(piece, contender, case.sets) for piece in pieces]
            except KascadeError as error:
                problems.append(f"{case.name}: {name}: {error}")
                continue
            done = [found for found in best if found is not None]
            if len(done) == len(pieces):
                rows.append(_row(case.name, name, done))
                images[name] = [attempt.image for attempt, _ in done]
        yield CaseResult(case, tuple(rows), [piece.reference for piece in pieces], images, tuple(problems))


def _best(piece: Piece, contender: Contender, sets: int) -> tuple[Attempt, dict[str, float]] | None:
    """The attempt with the highest PSNR, and its scores; without a reference the first; None where there is none."""
    if piece.reference is None:
        first = next(contender(piece.scan, sets, False), None)
        return None if first is None else (first, {})
    scored = [(a, score_against_rss(a.image, piece.reference)) for a in contender(piece.scan, sets, True)]
    return max(scored, key=lambda pair: pair[1]["psnr"], default=None)


def _row(case: str, method: str, done: Sequence[tuple[Attempt, dict[str, float]]]) -> QualityRow:
    def mean(name: str) -> float | None:
        return float(np.mean([score[name] for _, score in done])) if done[0][1] else None

    settings = ", ".join(dict.fromkeys(attempt.setting for attempt, _ in done if attempt.setting))
    seconds = float(np.mean([attempt.seconds for attempt, _ in done]))
    return QualityRow(case, method, settings, mean("psnr"), mean("ssim"), mean("nrmse"), seconds, len(done))
