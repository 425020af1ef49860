"""Reconstruct files: what `kascade recon` calls, for one file or many."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kascade import __version__
from kascade.data import Scan, crop_to_recon, write_maps, write_reconstruction
from kascade.data.masks import true_acceleration
from kascade.data.nifti import write_slices
from kascade.errors import ConfigError, KascadeError, MissingExtraError, OutputError
from kascade.recon.forecast import plain_memory_errors
from kascade.recon.method import Reconstruction, get_method
from kascade.recon.motion import curves_figure
from kascade.recon.outputs import all_or_none, make_folder
from kascade.recon.plan import Plan
from kascade.recon.prepare import prepare_scan
from kascade.recon.setup import Setup
from kascade.recon.trace_files import Record, trace_files
from kascade.recon.workers import each_in_a_process
from kascade.report.figures import montage, save_figure

__all__ = ["Outcome", "SliceProgress", "reconstruct_file", "reconstruct_files"]

SliceProgress = Callable[[float, int], None]
"""Called as progress(slices done, slices in all); the first may be a fraction."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `report` is the content of its JSON file, or `error` tells why there is none."""

    path: Path
    report: Mapping[str, Any] | None = None
    error: KascadeError | None = None
    skipped: bool = False


def reconstruct_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    plan: Plan | None = None,
    force: bool = False,
    progress: SliceProgress | None = None,
) -> Mapping[str, Any]:
    """Reconstruct every slice of a file and write ``NAME.h5``, ``NAME.png`` and ``NAME.json``: all of them or none.

    The other files that the plan asks for come with them: NIfTI, coil maps, traces.

    Parameters
    ----------
    path : path
        File that `kascade.data.load` reads.
    out : path
        Folder, which is made where it is missing.
    plan : Plan, optional
        Method and options.
    force : bool
        Replace existing files.
    progress : callable, optional
        Told how many slices are done.

    Returns
    -------
    mapping
        The content of ``NAME.json``.

    Raises
    ------
    KascadeError
        If the file cannot be read or reconstructed, or an output exists (and not `force`) or cannot be written.
    """
    plan, folder, path = plan or Plan(), Path(out), Path(path)
    start = time.perf_counter()
    method = get_method(plan.method, **plan.method_options())
    outputs = plan.outputs(path, folder)
    for parent in dict.fromkeys(output.parent for output in outputs.values()):
        make_folder(parent)
    with all_or_none(list(outputs.values()), force) as places, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        beside = dict(zip(outputs, places, strict=True))
        scan, sampling = prepare_scan(path, plan.undersampling, plan.keep_oversampling, plan.maps, plan.axes)
        with _trace(beside, scan, path) as record:
            results, maps = _reconstruct(scan, method, path, plan.save_maps, record, progress)
        images = torch.stack([crop_to_recon(result.image, scan.header).cpu() for result in results])
        _write_images(beside, images, scan, plan, results[0].info.get("model"))
        if plan.save_maps:
            write_maps(beside["maps"], maps)
        if "motion" in beside:
            save_figure(
                curves_figure([result.info["motion"] for result in results], scan.motion, path.name), beside["motion"]
            )
        report = {
            "kascade": __version__,
            "input": str(path),
            "method": plan.method,
            **({"model": results[0].info["model"]} if "model" in results[0].info else {}),
            "parameters": _parameters(method),
            "sampling": sampling,
            "true_acceleration": 1.0 if scan.mask is None else true_acceleration(scan.mask),
            "matrix": list(scan.matrix),
            "image": list(images.shape[1:]),
            **_summary(results),
            "seconds_total": time.perf_counter() - start,
            "slices": [dict(result.info) for result in results],
            "warnings": sorted({str(warning.message) for warning in caught}),
            "settings": plan.settings(),
        }
        beside["json"].write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def reconstruct_files(
    paths: Sequence[Path],
    out: str | os.PathLike[str],
    plan: Plan | None = None,
    *,
    workers: int = 1,
    resume: bool = False,
    force: bool = False,
    progress: SliceProgress | None = None,
) -> Generator[Outcome, None, None]:
    """Reconstruct many files; one that fails does not stop the others.

    Parameters
    ----------
    paths : sequence of Path
        Files.
    out, plan, force
        As `reconstruct_file`.
    workers : int
        Processes that work on files at the same time.
    resume : bool
        Skip files whose results lie in `out` already, made with the same settings.
    progress : callable, optional
        Told of the slices of the current file; only with one worker.

    Yields
    ------
    Outcome
        For each file, when it is done.

    Raises
    ------
    ConfigError
        If `workers` is less than 1, or the method or its options are wrong.
    OutputError
        If `out` cannot be made a folder.
    """
    plan, folder = plan or Plan(), Path(out)
    if workers < 1:
        raise ConfigError(f"workers must be 1 or more, got {workers}")
    get_method(plan.method, **plan.method_options())
    make_folder(folder)
    waiting = []
    for path in paths:
        if resume and (found := _finished(path, folder, plan, force)) is not None:
            yield found
        else:
            waiting.append(path)
    if workers == 1 or len(waiting) < 2:
        yield from (_outcome(path, folder, plan, force, progress) for path in waiting)
        return
    job = functools.partial(_outcome, folder=folder, plan=plan, force=force)
    for path, answer in each_in_a_process(job, waiting, workers):
        yield Outcome(path, error=answer) if isinstance(answer, KascadeError) else answer


def _trace(beside: Mapping[str, Path], scan: Scan, path: Path) -> contextlib.AbstractContextManager[Record | None]:
    """Takes the steps of each slice, where the plan asks for a trace."""
    if "trace h5" not in beside:
        return contextlib.nullcontext()
    return trace_files(beside["trace h5"], beside["trace png"], scan, str(path))


def _reconstruct(
    scan: Scan, method: Any, path: Path, keep_maps: bool, record: Record | None, progress: SliceProgress | None
) -> tuple[list[Reconstruction], list[Tensor]]:
    """All slices, and the maps of each if they are wanted."""
    results: list[Reconstruction] = []
    maps: list[Tensor] = []
    for index in range(len(scan)):

        def watch(done: int, total: int, finished: int = index) -> None:
            if progress is not None:
                progress(finished + done / total, len(scan))

        try:
            one = scan.slices(index, index + 1)
            if keep_maps:
                maps.append(_raw_maps(method.setup, one))
                one = one.with_maps(maps[-1][None])
            with plain_memory_errors(one, method.setup):
                result = method(one, 0, watch)
        except MissingExtraError:
            raise
        except KascadeError as error:
            raise type(error)(f"{path}, slice {index}: {error}") from error
        if record is not None:
            record(index, result)
        results.append(replace(result, steps=None))
        if not bool(results[-1].image.any()):
            warnings.warn(f"slice {index} of k-space is all zero, and so is its image", stacklevel=2)
        if progress is not None:
            progress(index + 1, len(scan))
    return results, maps


def _raw_maps(setup: Setup, scan: Scan) -> Tensor:
    """Maps of the coils as they are, not whitened, as a scan holds them: ([set,] coil, rows, columns)."""
    return replace(setup, whitening="none", virtual_coils=None, motion="none").problem(scan, 0).E.maps.cpu()


def _write_images(
    places: Mapping[str, Path], images: Tensor, scan: Scan, plan: Plan, model: Mapping[str, str] | None
) -> None:
    attributes = {"kascade": __version__, "method": plan.method}
    if model is not None:
        attributes |= {"model": model["name"], "model_sha256": model["sha256"]}
    write_reconstruction(places["h5"], images, plan.complex_values, attributes=attributes)
    save_figure(montage(images.abs().numpy()), places["png"])
    if plan.nifti:
        spacing = scan.header.spacing_mm
        if spacing is None:
            warnings.warn("the file tells no pixel size: 1 mm is written to the NIfTI file", stacklevel=2)
            spacing = (1.0, 1.0, 1.0)
        along_rows, along_columns, across = spacing
        write_slices(places["nifti"], images.abs(), (across, along_rows, along_columns))


def _summary(results: Sequence[Reconstruction]) -> dict[str, Any]:
    """Iterations, residuals and seconds of each slice."""
    infos = [result.info for result in results]
    return {
        "iterations": [info.get("iterations", 0) for info in infos],
        "residuals": [_residual(result) for result in results],
        "converged": all(info.get("converged", True) for info in infos),
        "seconds": [round(info["seconds"], 4) for info in infos],
    }


def _residual(result: Reconstruction) -> float | None:
    """Residual that the method tells of, or relative change of the image in its last iteration; None without either."""
    if "residual" in result.info:
        residual: float | None = result.info["residual"]
        return residual
    return result.trace[-1]["relative_change"] if result.trace else None


def _parameters(method: Any) -> dict[str, Any]:
    """Fields of the method and of its setup."""
    values = asdict(method)
    return {**values.pop("setup"), **values}


def _finished(path: Path, folder: Path, plan: Plan, force: bool) -> Outcome | None:
    """What an earlier run with the same settings left of `path`; None if it must be done."""
    outputs = plan.outputs(path, folder)
    if not all(file.exists() for file in outputs.values()):
        return None
    try:
        report = json.loads(outputs["json"].read_text(encoding="utf-8"))
        settings = report["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        settings = None
    if settings == json.loads(json.dumps(plan.settings())):
        return Outcome(path, report, skipped=True)
    if force:
        return None
    message = f"{outputs['json']}: made with other settings than those of this run; use --force or another folder"
    return Outcome(path, error=OutputError(message))


def _outcome(path: Path, folder: Path, plan: Plan, force: bool, progress: SliceProgress | None = None) -> Outcome:
    try:
        return Outcome(path, reconstruct_file(path, folder, plan, force, progress))
    except KascadeError as error:
        return Outcome(path, error=error)
