"""The speed benchmark: all solve the same problem and take turns; what is missing is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kascade
from kascade.benchmarks import speed, speed_process, speed_task
from kascade.benchmarks.peers import bart, copy, kascade_torch, sigpy
from kascade.benchmarks.speed import CASES, PACKAGES, Row, format_table, run, to_json, turns
from kascade.benchmarks.speed_data import write_inputs
from kascade.benchmarks.speed_process import Worker, WorkerError, prepare
from kascade.benchmarks.speed_task import Inputs, run_quietly, timed
from kascade.benchmarks.speed_worker import IMPLEMENTATIONS, serve
from kascade.errors import ConfigError, KascadeError

SIZE = (3, 40, 32)  # coils, rows, columns
COMPARED = ["gram-columns", "gram-2d", "sense", "sense-1e-4"]


# --- the implementations --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of a small benchmark."""
    path = tmp_path_factory.mktemp("inputs")
    write_inputs(path, *SIZE)
    return path


def image(folder: Path, implementation: str, case: str) -> np.ndarray[Any, Any]:
    timing = import_module(IMPLEMENTATIONS[implementation]).CASES[case](Inputs(folder), case, "cpu")()
    assert timing.seconds > 0 and timing.result is not None
    return np.asarray(timing.result)


def test_every_case_is_there_for_us_and_for_each_of_its_peers() -> None:
    for name, case in CASES.items():
        for implementation in ("kascade", *case.peers, *case.gpu_peers):
            assert name in import_module(IMPLEMENTATIONS[implementation]).CASES, (name, implementation)
            assert implementation in PACKAGES


def test_inputs_are_an_undersampled_scan_with_maps_of_unit_norm(folder: Path) -> None:
    inputs = Inputs(folder)
    assert inputs.kspace.shape == inputs.maps.shape == SIZE and inputs.image.shape == SIZE[1:]
    np.testing.assert_allclose(np.linalg.norm(inputs.maps, axis=0), 1, rtol=1e-5)
    mask = inputs.mask("sense")
    assert mask.shape == SIZE[2:] and 0 < mask.mean() < 1
    assert not inputs.kspace[..., mask == 0].any() and inputs.kspace[..., mask == 1].all()
    assert inputs.mask("gram-2d").shape == SIZE[1:]


@pytest.mark.parametrize(
    ("peer", "case"),
    [
        *(("sigpy", case) for case in COMPARED),
        ("fastmri-style", "gram-columns"),
        ("fastmri-style", "gram-2d"),
        pytest.param("bart", "sense", marks=pytest.mark.bart),
    ],
)
def test_peers_solve_the_same_problem(folder: Path, peer: str, case: str) -> None:
    ours, theirs = image(folder, "kascade", case), image(folder, peer, case)
    assert ours.shape == theirs.shape == SIZE[1:]
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(ours)


@pytest.mark.parametrize("peer", ["kascade", "sigpy", "fastmri-style", pytest.param("mrpro", marks=pytest.mark.slow)])
def test_batches_of_slices_with_their_own_maps(folder: Path, peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meant for GPUs, where a batch is larger than the cache; the first slice is that of the single case."""
    monkeypatch.setattr(speed_task, "BATCH_SLICES", 3)
    monkeypatch.setattr(speed_task, "BATCH_BYTES", 1)
    inputs = Inputs(folder)
    batch = inputs.batch(inputs.image)
    assert inputs.slices == 3 and np.array_equal(np.roll(batch[2], -2, axis=-1), batch[0])
    if peer == "mrpro":
        pytest.importorskip("mrpro")
    single, first = image(folder, "kascade", "gram-columns"), image(folder, peer, "gram-batch")
    assert np.linalg.norm(single - first) < 1e-4 * np.linalg.norm(single)


@pytest.mark.parametrize("case", ["sense-batch", "dc-batch", "cascade"])
def test_cases_for_a_gpu_run_on_the_cpu_too(folder: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_task, "BATCH_SLICES", 2)
    monkeypatch.setattr(speed_task, "BATCH_BYTES", 1)
    found = image(folder, "kascade", case)
    assert found.shape == SIZE[1:]
    if case == "sense-batch":
        single = image(folder, "kascade", "sense")
        assert np.linalg.norm(single - found) < 1e-4 * np.linalg.norm(single)


def test_the_floor_is_a_copy_of_as_many_bytes(folder: Path) -> None:
    assert copy.moved_bytes(15, 640, 368) == 8 * 17 * 640 * 368
    assert copy.CASES["gram-columns"](Inputs(folder), "gram-columns", "cpu")().seconds > 0


def test_our_path_without_kernels_switches_them_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bool] = []
    monkeypatch.setattr("kascade.physics.kernels.use_kernels", said.append)
    assert next(serve(folder, "gram-2d", "kascade-torch", "cpu", [])) == {"missing": "not on cpu"}
    kascade_torch.CASES["gram-2d"](Inputs(folder), "gram-2d", "cpu")
    assert said == [False]


def test_a_gpu_has_more_cases_and_peers() -> None:
    assert turns(None, 1, []) < turns(None, 1, [], "cuda")
    assert turns(["gram-columns"], 1) + 4 == turns(["gram-columns"], 1, None, "cuda")
    assert turns(["gram-batch"], 1, []) == 2  # asked for by name, on the CPU too


@pytest.mark.parametrize("case", ["espirit", "wavelet"])
@pytest.mark.parametrize("implementation", ["kascade", "sigpy", pytest.param("bart", marks=pytest.mark.bart)])
def test_calls_that_are_only_timed(folder: Path, implementation: str, case: str) -> None:
    assert import_module(IMPLEMENTATIONS[implementation]).CASES[case](Inputs(folder), case, "cpu")().seconds > 0


@pytest.mark.bart
def test_bart_gram_is_the_time_of_one_more_iteration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 13.0])  # 1 s for FEW iterations, 3 s for MANY
    task = bart.CASES["gram-2d"](Inputs(folder), "gram-2d", "cpu")
    monkeypatch.setattr(bart.time, "perf_counter", lambda: next(clock))
    assert task().seconds == pytest.approx(2 / (bart.MANY - bart.FEW))


def test_bart_is_missing_where_the_program_is(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", "")
    assert list(serve(folder, "sense", "bart", "cpu", [])) == [
        {"missing": "the bart program is not on the PATH: apt-get install bart"}
    ]


def test_a_program_that_fails_says_why(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-module"):
        run_quietly([sys.executable, "-m", "no-such-module"])


# --- the worker -----------------------------------------------------------------------------------------------------


def test_worker_measures_compares_and_reports_memory(folder: Path) -> None:
    ours = list(serve(folder, "gram-2d", "kascade", "cpu", ["measure", "finish"]))
    assert ours[0] == {"version": kascade.__version__}
    assert len(ours[1]["seconds"]) > 1 and min(ours[1]["seconds"]) > 0
    assert ours[2]["difference"] == 0 and 2**24 < ours[2]["peak_bytes"] < 2**34
    theirs = list(serve(folder, "gram-2d", "fastmri-style", "cpu", ["measure", "measure", "finish"]))
    assert len(theirs) == 4 and 0 < theirs[-1]["difference"] < 1e-5


def test_worker_runs_long_calls_once_a_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module(IMPLEMENTATIONS["kascade"])
    calls: list[int] = []
    monkeypatch.setattr("kascade.benchmarks.speed_worker.LONG_S", 0.0)
    monkeypatch.setitem(module.CASES, "sense", lambda *_: timed(lambda: calls.append(1)))
    answers = list(serve(folder, "sense", "kascade", "cpu", ["measure"]))
    assert len(answers[1]["seconds"]) == 1 and len(calls) == 3  # two calls to warm up


def test_worker_names_a_device_that_a_peer_cannot_use(folder: Path) -> None:
    assert list(serve(folder, "sense", "bart", "cuda", [])) == [{"missing": "not on cuda"}]


def test_sigpy_on_a_gpu_needs_cupy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigpy, "find_spec", lambda name: None)
    (answer,) = serve(folder, "sense", "sigpy", "cuda", [])
    assert "pip install 'kascade[gpu]'" in answer["missing"]


def test_a_process_that_ends_is_heard_to_its_last_word(folder: Path) -> None:
    with (
        Worker(folder / "nowhere", "sense", "kascade", "cpu") as worker,
        pytest.raises(WorkerError, match="No such file"),
    ):
        worker.answer()


def test_inputs_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="inputs of the benchmark cannot be made"):
        prepare(tmp_path / "nowhere", 1, 8, 8)


# --- turns, ratios, missing packages: with scripted processes -------------------------------------------------------


class Scripted:
    """Stands for a worker process; `script` holds what each implementation answers."""

    script: dict[str, Iterator[dict[str, Any] | str]]
    asked: list[tuple[str, str]]

    def __init__(self, folder: Path, case: str, name: str, device: str, environment: dict[str, str]) -> None:
        self.name, self.environment = name, environment

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None:
        self.asked.append((self.name, "end"))

    def answer(self) -> dict[str, Any]:
        answer = next(self.script[self.name])
        if isinstance(answer, str):
            raise WorkerError(answer)
        return answer

    def ask(self, order: str) -> dict[str, Any]:
        self.asked.append((self.name, order))
        return self.answer()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    monkeypatch.setattr(speed, "Worker", Scripted)
    monkeypatch.setattr(speed, "prepare", lambda *_: None)
    Scripted.asked = []
    return Scripted


def complete(*seconds: float, difference: float | None = 0.0) -> Iterator[dict[str, Any] | str]:
    measured = [{"seconds": [s]} for s in seconds]
    return iter([{"version": "1.0"}, *measured, {"peak_bytes": 2**20, "difference": difference}])


def test_implementations_take_turns(scripted: type[Scripted]) -> None:
    scripted.script = {"kascade": complete(0.1, 0.2, 0.9), "torch": complete(1, 3, 2)}
    said: list[str] = []
    ours, theirs = run(["import"], repeats=3, progress=said.append)
    orders = [entry for entry in scripted.asked if entry[1] == "measure"]
    assert orders == [("kascade", "measure"), ("torch", "measure")] * 3
    assert (ours.median_s, ours.minimum_s, ours.calls, ours.ratio) == (0.2, 0.1, 3, 1)
    assert (theirs.median_s, theirs.minimum_s, theirs.calls, theirs.ratio) == (2, 1, 3, 10)
    assert len(said) == turns(["import"], repeats=3) == 8
    assert scripted.asked[-2:] == [("torch", "end"), ("kascade", "end")]


def test_missing_and_failing_packages_are_rows_with_the_reason(scripted: type[Scripted]) -> None:
    scripted.script = {
        "kascade": complete(1, 1),
        "mrpro": iter([{"missing": "not installed: pip install mrpro"}]),
        "bart": iter([{"version": "0.8"}, "Killed"]),
        "sigpy": complete(4, 4, difference=0.5),
    }
    rows = run(["sense"], repeats=2)
    assert [row.missing for row in rows] == [None, "not installed: pip install mrpro", "failed: Killed", None]
    text = format_table(rows)
    assert "missing: MRpro: not installed: pip install mrpro (sense)" in text
    assert "missing: BART: failed: Killed (sense)" in text
    assert "SigPy: image differs from Kascade's by 5.0e-01 (sense)" in text


def test_an_implementation_over_its_budget_takes_no_more_turns(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    scripted.script = {"kascade": complete(1, 1, 1), "bart": complete(2, 2, 2), "sigpy": complete(30)}
    ask = Scripted.ask

    def slowly(self: Scripted, order: str) -> dict[str, Any]:
        now[0] += 30 if self.name == "sigpy" else 1
        return ask(self, order)

    monkeypatch.setattr(Scripted, "ask", slowly)
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    assert [row.calls for row in run(["espirit"], repeats=3)] == [3, 3, 1]


def test_without_our_own_time_there_is_no_ratio(scripted: type[Scripted]) -> None:
    scripted.script = {"kascade": iter(["ImportError: no"]), "torch": complete(1)}
    ours, theirs = run(["help"], repeats=1)
    assert ours.missing == "failed: ImportError: no" and theirs.ratio is None and theirs.median_s == 1


def test_threads_and_peers_are_chosen(scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    environments = []
    original = Scripted.__init__

    def note(self: Scripted, *arguments: Any) -> None:
        original(self, *arguments)
        environments.append(self.environment)

    monkeypatch.setattr(Scripted, "__init__", note)
    scripted.script = {"kascade": complete(1), "sigpy": complete(1)}
    assert [row.implementation for row in run(["sense"], repeats=1, peers=["sigpy"], threads=1)] == ["kascade", "sigpy"]
    assert all(environment["OMP_NUM_THREADS"] == "1" for environment in environments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": ["grams"]}, "unknown case grams: choose from gram-columns"),
        ({"peers": ["matlab"]}, "unknown peer matlab"),
        ({"device": "tpu"}, "cpu or cuda"),
        ({"repeats": 0}, "repeats is 0"),
        ({"coils": -1}, "coils is -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**arguments)


def test_inputs_that_cannot_be_made_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise WorkerError("no room")

    monkeypatch.setattr(speed, "prepare", refuse)
    with pytest.raises(KascadeError, match="no room"):
        run(["import"])


# --- table and JSON -------------------------------------------------------------------------------------------------

ROWS = [
    Row("sense", "kascade", "0.1.0", None, 0.2, 0.19, 7, 1.0, 300 * 2**20, 0.0),
    Row("sense", "bart", "0.8.00", None, 1.3, 1.25, 5, 6.5, 210 * 2**20, 2e-6),
    Row("sense", "mrpro", missing="not installed: pip install mrpro"),
    Row("help", "kascade", "0.1.0", None, 0.19, 0.18, 3, 1.0, None, None),
]


def test_table() -> None:
    lines = format_table(ROWS).splitlines()
    assert len({len(line) for line in lines[:6]}) == 1 and all(line.startswith("|") for line in lines[:6])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    title = CASES["sense"].title
    assert cells[0] == [title, "Kascade 0.1.0", "200.0 ms", "190.0 ms", "", "300 MiB"]
    assert cells[1] == ["", "BART 0.8.00", "1.30 s", "1.25 s", "6.5x", "210 MiB"]
    assert cells[2] == ["", "MRpro", "missing", "", "", ""]
    assert cells[3] == [CASES["help"].title, "Kascade 0.1.0", "190.0 ms", "180.0 ms", "", ""]
    assert lines[7] == "missing: MRpro: not installed: pip install mrpro (sense)"


def test_floor_and_share_of_the_networks_are_told() -> None:
    rows = [
        Row("gram-batch", "kascade", "0.1.0", None, 3e-5, 2e-5, 7, 1.0),
        Row("gram-batch", "copy", "2", None, 2e-5, 1e-5, 7, 0.5),
        Row("train-step", "kascade", "0.1.0", None, 1.0, 1.0, 7, 1.0),
        Row("train-step", "networks", "2", None, 0.8, 0.8, 7, 0.8),
    ]
    text = format_table(rows)
    assert "gram-batch: Kascade takes 2.00 times the floor, which is the copy: 50 % of the copy's bandwidth" in text
    assert "all but the U-Nets takes 20 % of Kascade's" in text
    assert "the floor" not in format_table(rows[:1]) and "all but" not in format_table(rows[:3])


def test_json_holds_everything_and_the_machine() -> None:
    value = json.loads(json.dumps(to_json(ROWS)))
    assert [Row(**row) for row in value["rows"]] == ROWS
    assert value["machine"]["cores"] >= 1 and value["machine"]["processor"]


# --- whole runs, in processes ---------------------------------------------------------------------------------------


def test_a_process_answers_in_lines_whatever_packages_print(folder: Path) -> None:
    with Worker(folder, "gram-2d", "kascade", "cpu", {"OMP_NUM_THREADS": "1"}) as worker:
        assert set(worker.answer()) == {"version"}
        assert len(worker.ask("measure")["seconds"]) > 1
        assert set(worker.ask("finish")) == {"peak_bytes", "difference"}
        with pytest.raises(WorkerError, match="ended with code 0"):
            worker.ask("measure")
    assert speed_process.LIMIT_S > 60


@pytest.mark.slow
def test_the_whole_benchmark_small() -> None:
    rows = run(None, *SIZE, repeats=1, threads=1)
    assert [row.implementation for row in rows if row.case == "sense"] == ["kascade", "mrpro", "bart", "sigpy"]
    for row in rows:
        assert row.missing is None or (row.implementation in ("bart", "mrpro", "fastmri") and "install" in row.missing)
        assert row.difference is None or row.difference < (0.1 if row.case == "train-step" else 1e-4)
