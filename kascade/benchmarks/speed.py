"""Speed and memory of Kascade beside other packages, measured in one run: `kascade bench speed`.

Each case runs in one process for each implementation. The processes take turns (A B C A B C ...), so that whatever else
the machine does hits all alike. This module imports no torch: the process that waits stays small.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kascade.benchmarks.speed_process import Worker, WorkerError, prepare
from kascade.benchmarks.speed_rows import CASES, PACKAGES, Row, format_table, machine, to_json
from kascade.benchmarks.speed_worker import OURS
from kascade.errors import ConfigError, KascadeError

__all__ = ["CASES", "PACKAGES", "Row", "format_table", "machine", "run", "to_json", "turns"]

Progress = Callable[[str], None]

BUDGET_S = 20.0  # an implementation that has used this much time in a case takes no more turns in it
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(
    cases: Sequence[str] | None = None,
    coils: int = 15,
    rows: int = 640,
    columns: int = 368,
    repeats: int = 5,
    device: str = "cpu",
    progress: Progress | None = None,
    *,
    peers: Sequence[str] | None = None,
    threads: int | None = None,
) -> list[Row]:
    """Measure Kascade and its peers.

    Parameters
    ----------
    cases : sequence of str, optional
        Keys of `CASES`; all by default.
    coils, rows, columns : int
        Size of k-space; rows are the readout.
    repeats : int
        Turns of each implementation.
    device : {"cpu", "cuda"}
        Where implementations that can choose compute; the others are named as missing on a GPU.
    progress : callable, optional
        Called with a description before each of the `turns`.
    peers : sequence of str, optional
        Keys of `PACKAGES` to compare with; all by default.
    threads : int, optional
        Number of threads of every implementation; its own default otherwise.

    Returns
    -------
    list of Row
        Case by case, Kascade first.

    Raises
    ------
    ConfigError
        If there is no such case, peer, device or number.
    KascadeError
        If the inputs cannot be made.
    """
    chosen = _cases(cases, device)
    _chosen("peer", peers, PACKAGES)
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device {device!r}: the benchmark runs on cpu or cuda")
    numbers = {"coils": coils, "rows": rows, "columns": columns, "repeats": repeats, "threads": threads}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}: expected at least 1")
    environment = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    measured: list[Row] = []
    with _folder(bytes_needed=64 * coils * rows * columns) as folder:
        try:
            prepare(folder, coils, rows, columns)
        except WorkerError as error:
            raise KascadeError(str(error)) from None
        for case in chosen:
            names = _implementations(case, peers, device)
            measured += _contest(case, names, folder, device, environment, repeats, progress or (lambda text: None))
    return measured


def turns(
    cases: Sequence[str] | None = None, repeats: int = 5, peers: Sequence[str] | None = None, device: str = "cpu"
) -> int:
    """How often `run` calls `progress`."""
    return sum(len(_implementations(case, peers, device)) for case in _cases(cases, device)) * (repeats + 1)


def _cases(names: Sequence[str] | None, device: str) -> list[str]:
    """Those that were asked for, or all that the device has."""
    return [case for case in _chosen("case", names, CASES) if names or device == "cuda" or not CASES[case].gpu_only]


def _chosen(what: str, names: Sequence[str] | None, known: Mapping[str, object]) -> list[str]:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ConfigError(f"unknown {what} {', '.join(unknown)}: choose from {', '.join(known)}")
    return list(known if names is None else names)


def _implementations(case: str, peers: Sequence[str] | None, device: str) -> list[str]:
    known = CASES[case].peers + (CASES[case].gpu_peers if device == "cuda" else ())
    return [OURS, *(peer for peer in known if peers is None or peer in peers)]


@contextmanager
def _folder(bytes_needed: int) -> Iterator[Path]:
    """A temporary folder, in memory where the system has one with room, so that no disk is measured."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > bytes_needed
    with tempfile.TemporaryDirectory(prefix="kascade-bench-", dir=memory if roomy else None) as folder:
        yield Path(folder)


def _contest(
    case: str,
    names: Sequence[str],
    folder: Path,
    device: str,
    environment: Mapping[str, str],
    repeats: int,
    progress: Progress,
) -> list[Row]:
    """One case by all implementations, in turns."""
    title = CASES[case].title
    contestants: list[_Contestant] = []
    with ExitStack() as stack:
        for name in names:
            progress(f"{title}: {PACKAGES[name]} gets ready")
            worker = stack.enter_context(Worker(folder, case, name, device, environment))
            contestants.append(_Contestant(case, name, worker))
            contestants[-1].hear(worker.answer)
        for _ in range(repeats):
            for contestant in contestants:
                progress(f"{title}: {PACKAGES[contestant.name]}")
                contestant.measure()
        for contestant in contestants:
            contestant.finish()
    ours = contestants[0].median
    return [contestant.row(ours) for contestant in contestants]


class _Contestant:
    """What is known so far of one implementation."""

    def __init__(self, case: str, name: str, worker: Worker) -> None:
        self.case, self.name, self.worker = case, name, worker
        self.seconds: list[float] = []
        self.spent = 0.0
        self.facts: dict[str, Any] = {}

    def hear(self, answer: Callable[[], dict[str, Any]]) -> None:
        """Note an answer of the process; if it has ended, it is missing from now on."""
        if "missing" in self.facts:
            return
        try:
            facts = answer()
        except WorkerError as error:
            facts = {"missing": f"failed: {error}"}
        self.seconds += facts.pop("seconds", [])
        self.facts.update(facts)

    def measure(self) -> None:
        start = time.monotonic()
        if self.spent < BUDGET_S:
            self.hear(lambda: self.worker.ask("measure"))
        self.spent += time.monotonic() - start

    def finish(self) -> None:
        self.hear(lambda: self.worker.ask("finish"))

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds and "missing" not in self.facts else None

    def row(self, ours: float | None) -> Row:
        """The result, beside our median."""
        median = self.median
        if median is None:
            return Row(self.case, self.name, missing=self.facts["missing"])
        return Row(
            self.case,
            self.name,
            version=self.facts["version"],
            median_s=median,
            minimum_s=min(self.seconds),
            calls=len(self.seconds),
            ratio=median / ours if ours else None,
            peak_bytes=self.facts["peak_bytes"] if CASES[self.case].memory else None,
            difference=self.facts["difference"],
        )
