"""One process of the speed benchmark: one case by one implementation, call by call, as `kascade.benchmarks.speed` asks.

`python -m kascade.benchmarks.speed_worker FOLDER CASE IMPLEMENTATION DEVICE` reads one word a line on standard input,
``measure`` or ``finish``, and answers with one line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kascade.benchmarks.speed_task import Inputs, MemoryTask, NotInstalledError, Task

__all__ = ["IMPLEMENTATIONS", "OURS", "main", "serve"]

OURS = "kascade"
IMPLEMENTATIONS = {
    OURS: "kascade.benchmarks.speed_ours",
    "mrpro": "kascade.benchmarks.peers.mrpro",
    "bart": "kascade.benchmarks.peers.bart",
    "sigpy": "kascade.benchmarks.peers.sigpy",
    "fastmri-style": "kascade.benchmarks.peers.fastmri_style",
    "cg-autograd": "kascade.benchmarks.peers.cg_autograd",
    "fastmri": "kascade.benchmarks.peers.fastmri_varnet",
    "networks": "kascade.benchmarks.peers.networks_alone",
    "kascade-torch": "kascade.benchmarks.peers.kascade_torch",
    "copy": "kascade.benchmarks.peers.copy",
    "torch": "kascade.benchmarks.peers.torch_alone",
}
LONG_S = 0.25  # a call that takes longer is a turn of its own; shorter ones come in turns of
TURN_S = 0.5  # this length, after one call that is not counted
PATIENCE_S = 5.0  # a first call that takes longer is not repeated to warm up


def serve(folder: Path, case: str, implementation: str, device: str, orders: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Prepare the case, then answer orders.

    Parameters
    ----------
    folder : Path
        Where the inputs are, and where results for comparison go.
    case, implementation, device : str
        What to run.
    orders : iterable of str
        ``measure`` or ``finish``.

    Yields
    ------
    dict
        First {version} or {missing}; {seconds} for each ``measure``; {peak_bytes, difference} for ``finish``.
    """
    module = import_module(IMPLEMENTATIONS[implementation])
    if device not in module.DEVICES:
        yield {"missing": f"not on {device}"}
        return
    try:
        version = module.version()
        task: Task = module.CASES[case](Inputs(folder), case, device)
    except NotInstalledError as error:
        yield {"missing": str(error)}
        return
    start = time.perf_counter()
    warm = task()
    if time.perf_counter() - start < PATIENCE_S:
        start = time.perf_counter()
        warm = task()
    expected = time.perf_counter() - start
    if warm.result is not None and implementation == OURS:
        np.save(folder / f"{case}-result.npy", warm.result)
    yield {"version": version}
    for order in orders:
        if order == "measure":
            yield {"seconds": _turn(task, expected)}
        elif order == "finish":
            needed = _peak_memory if device == "cpu" else _device_memory
            peak = task.peak_bytes() if isinstance(task, MemoryTask) else needed()
            yield {"peak_bytes": peak, "difference": _difference(folder / f"{case}-result.npy", warm.result)}
            return
        else:
            raise ValueError(f"unknown order {order!r}")


def _turn(task: Task, expected: float) -> list[float]:
    """Seconds of one long call, or of several short ones in a warm cache."""
    if expected > LONG_S:
        return [task().seconds]
    task()
    return [task().seconds for _ in range(ceil(TURN_S / max(expected, TURN_S / 50)))]


def _difference(reference: Path, result: NDArray[np.complex64] | None) -> float | None:
    """||result - reference|| / ||reference||, where both exist."""
    if result is None or not reference.exists():
        return None
    expected = np.load(reference)
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


def _peak_memory() -> int:
    """Largest resident memory of this process or of a program that it started, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    programs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    try:  # getrusage would count what the parent had when it started us
        lines = Path("/proc/self/status").read_text().splitlines()
        own = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return max(own, programs)


def _device_memory() -> int:
    """What the allocators of torch and CuPy, as far as this process uses them, took of the GPU, in bytes."""
    import torch

    taken = torch.cuda.max_memory_reserved()
    if "cupy" in sys.modules:
        taken += int(sys.modules["cupy"].get_default_memory_pool().total_bytes())
    return taken


def main(arguments: Sequence[str]) -> None:
    """Serve the parent process.

    Parameters
    ----------
    arguments : sequence of str
        Folder, case, implementation and device; or ``prepare``, folder, coils, rows and columns, to write the inputs.
    """
    if arguments[0] == "prepare":
        from kascade.benchmarks.speed_data import write_inputs

        write_inputs(Path(arguments[1]), *map(int, arguments[2:]))
        return
    folder, case, implementation, device = arguments
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what packages print goes to standard error, not between the answers
        for answer in serve(Path(folder), case, implementation, device, (line.strip() for line in sys.stdin)):
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
