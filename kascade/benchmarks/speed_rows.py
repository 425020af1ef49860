"""The cases of the speed benchmark, and its result as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from kascade.benchmarks.speed_task import CASCADES, CHANNELS, CROP, LEVELS, RECORDED_CG
from kascade.benchmarks.speed_worker import OURS

__all__ = ["CASES", "PACKAGES", "Case", "Row", "format_table", "machine", "to_json"]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes
    ----------
    title : str
        In words.
    peers : tuple of str
        The other implementations that can do it.
    memory : bool
        Whether peak memory is measured.
    gpu_peers : tuple of str
        Those that are there on a GPU only.
    gpu_only : bool
        Whether it is measured on a GPU only.
    """

    title: str
    peers: tuple[str, ...]
    memory: bool = True
    gpu_peers: tuple[str, ...] = ()
    gpu_only: bool = False


TRAINING, NETWORKS, TORCH, COPY = "train-step", "networks", "kascade-torch", "copy"
CASES: Mapping[str, Case] = {
    "gram-columns": Case(
        "E^H E, mask constant along the readout", ("mrpro", "bart", "sigpy", "fastmri-style"), gpu_peers=(TORCH, COPY)
    ),
    "gram-2d": Case("E^H E, arbitrary 2-D mask", ("mrpro", "bart", "sigpy", "fastmri-style"), gpu_peers=(TORCH,)),
    "gram-batch": Case(
        "E^H E, a slice of a batch with own maps", ("mrpro", "sigpy", "fastmri-style", TORCH, COPY), gpu_only=True
    ),
    "sense": Case("SENSE, 10 CG iterations, whole call", ("mrpro", "bart", "sigpy"), gpu_peers=(TORCH,)),
    "sense-1e-4": Case("SENSE to a relative residual of 1e-4, whole call", ("sigpy",), gpu_peers=(TORCH,)),
    "sense-batch": Case("SENSE, 10 CG iterations, a slice of a batch", (TORCH,), gpu_only=True),
    "dc-batch": Case("data consistency to 1e-3, a slice of a batch", (TORCH,), gpu_only=True),
    "espirit": Case("ESPIRiT, one set, 24 x 24 calibration", ("bart", "sigpy")),
    "wavelet": Case("L1-wavelet, 50 iterations, whole call", ("bart", "sigpy")),
    "model": Case("reconstruction of a raw slice by a trained network", ("fastmri",)),
    "cascade": Case(f"{CASCADES} cascades, U-Net {CHANNELS}, crop {CROP}", (TORCH, NETWORKS), gpu_only=True),
    TRAINING: Case(
        f"training step, {CASCADES} cascades, U-Net {CHANNELS}, crop {CROP}",
        ("cg-autograd", "fastmri", NETWORKS),
        gpu_peers=(TORCH,),
    ),
    "import": Case("import kascade", ("torch",), memory=False),
    "help": Case("kascade --help", ("torch",), memory=False),
}
PACKAGES: Mapping[str, str] = {
    OURS: "Kascade",
    "mrpro": "MRpro",
    "bart": "BART",
    "sigpy": "SigPy",
    "fastmri-style": "fastMRI-style",
    "cg-autograd": "CG in autograd",
    "fastmri": "fastMRI VarNet",
    NETWORKS: "U-Nets alone",
    "torch": "import torch",
    TORCH: "Kascade without its kernels",
    COPY: "copy of as many bytes",
}
METHOD = f"""\
ratio: median of the package / median of Kascade. peak: resident memory of its process, with libraries and data.
BART: whole program calls with files in memory; its E^H E is the time of one more iteration of `pics -l2`.
All other calls run inside a process that is warm. fastMRI-style: torch, all coils at once, shifts around transforms.
The L1-wavelet and ESPIRiT of SigPy and BART keep their own defaults. import and --help: whole processes.
trained network: Kascade's shipped model, readout oversampling removed first and ESPIRiT included, beside a VarNet of 12
cascades and 18 channels, whose own network estimates the maps (random weights: its time does not depend on them).
training step: forward and backward in float32, no optimizer, no checkpointing; {CASCADES} U-Nets of {CHANNELS} channels
and {LEVELS} poolings, in VarNet beside a network for coil maps. Its peak: the tensors that one step makes, counted.
CG in autograd: the same cascade, {RECORDED_CG} recorded CG iterations a solve; Kascade solves to a residual of 1e-3."""
SAME = 1e-3  # images of one problem that differ by more are not taken for equal


@dataclass(frozen=True)
class Row:
    """One case by one implementation.

    Attributes
    ----------
    case, implementation : str
        Keys of `CASES` and `PACKAGES`.
    version : str
        Of the implementation; empty where it is missing.
    missing : str or None
        Why there are no numbers: not installed, not for this device, or how it failed.
    median_s, minimum_s : float or None
        Seconds of one call.
    calls : int
        How many calls were counted.
    ratio : float or None
        `median_s` divided by that of Kascade.
    peak_bytes : int or None
        Largest resident memory of the process, libraries and inputs included; for the training step the largest sum of
        the tensors that it makes.
    difference : float or None
        Relative difference of the image from Kascade's, where both solve the very same problem.
    """

    case: str
    implementation: str
    version: str = ""
    missing: str | None = None
    median_s: float | None = None
    minimum_s: float | None = None
    calls: int = 0
    ratio: float | None = None
    peak_bytes: int | None = None
    difference: float | None = None


def format_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table that also reads well in a terminal, with what was compared below it.

    Parameters
    ----------
    rows : sequence of Row
        From `kascade.benchmarks.speed.run`.

    Returns
    -------
    str
        Several lines, without a final newline.
    """
    head = ["what", "package", "median", "minimum", "ratio", "peak"]
    cells = [line for _, group in groupby(rows, key=lambda row: row.case) for line in _lines(list(group))]
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    rule = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    table = [_line(head, widths), _line(rule, widths), *(_line(line, widths) for line in cells)]
    return "\n".join(
        [*table, "", *_bandwidth(rows), *_training_share(rows), *_training_memory(rows), *_remarks(rows), METHOD]
    )


def _lines(rows: Sequence[Row]) -> list[list[str]]:
    titles = [CASES[rows[0].case].title, *[""] * (len(rows) - 1)]
    return [[title, *_cells(row)] for title, row in zip(titles, rows, strict=True)]


def _cells(row: Row) -> list[str]:
    name = PACKAGES[row.implementation]
    if row.median_s is None or row.minimum_s is None:
        return [name, "missing", "", "", ""]
    ratio = "" if row.ratio is None or row.implementation == OURS else f"{row.ratio:.1f}x"
    peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.0f} MiB"
    return [f"{name} {row.version}", _seconds(row.median_s), _seconds(row.minimum_s), ratio, peak]


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 0.5 else f"{seconds:.2f} s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))]
    return f"| {' | '.join(aligned)} |"


def _remarks(rows: Sequence[Row]) -> list[str]:
    """What is missing, and what does not compute the same, each with its cases."""
    found: dict[str, list[str]] = {}
    for row in rows:
        name = PACKAGES[row.implementation]
        if row.missing is not None:
            found.setdefault(f"missing: {name}: {row.missing}", []).append(row.case)
        elif row.difference is not None and not row.difference <= SAME:
            found.setdefault(f"{name}: image differs from Kascade's by {row.difference:.1e}", []).append(row.case)
    return [f"{text} ({', '.join(cases)})" for text, cases in found.items()]


def _bandwidth(rows: Sequence[Row]) -> list[str]:
    """How far E^H E is from its floor: maps and image read once, the image written once, at the speed of a copy."""
    lines = []
    for case in ("gram-columns", "gram-batch"):
        times = {row.implementation: row.minimum_s for row in rows if row.case == case and row.minimum_s}
        if OURS in times and COPY in times:
            share = times[COPY] / times[OURS]
            lines.append(
                f"{case}: Kascade takes {1 / share:.2f} times the floor, which is the copy: {100 * share:.0f} % of the "
                "copy's bandwidth"
            )
    return lines


def _training_share(rows: Sequence[Row]) -> list[str]:
    """What part of a training step is not the networks'."""
    times = {row.implementation: row.median_s for row in rows if row.case == TRAINING and row.median_s}
    if not {OURS, NETWORKS} <= times.keys():
        return []
    return [f"training step: all but the U-Nets takes {100 * (1 - times[NETWORKS] / times[OURS]):.0f} % of Kascade's"]


def _training_memory(rows: Sequence[Row]) -> list[str]:
    """What a training step needs beside its networks, where both were measured."""
    peaks = {row.implementation: row.peak_bytes for row in rows if row.case == TRAINING and row.peak_bytes is not None}
    networks = peaks.pop(NETWORKS, None)
    if networks is None or not peaks:
        return []
    extra = [f"{PACKAGES[name]} {(peak - networks) / 2**20:.1f} MiB" for name, peak in peaks.items()]
    return [f"training step, peak beyond that of the U-Nets alone: {', '.join(extra)}"]


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the numbers depend on: processor, cores, threads, load, system, and the GPU where it is the device."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in _read(info) if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **({"gpu": _gpu()} if device == "cuda" else {}),
    }


def _gpu() -> str:
    """Card, CUDA and kernels, in words."""
    import torch

    from kascade.physics import kernels

    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, kernels {kernels.status().text}"


def _read(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def to_json(rows: Sequence[Row], device: str = "cpu") -> dict[str, Any]:
    """Rows and the machine, ready for `json.dumps`; times in seconds, memory in bytes."""
    return {"machine": machine(device), "rows": [asdict(row) for row in rows]}
