"""`kascade inspect`: what is in a k-space file, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kascade.cli import console
from kascade.cli.options import Axes, Debug, Quiet
from kascade.errors import ConfigError, KascadeError

__all__ = ["inspect"]

HEADER_LABELS = {
    "protocol": "protocol",
    "scanner": "scanner",
    "field_strength_t": "field strength [T]",
    "encoded_matrix": "encoded matrix",
    "recon_matrix": "recon matrix",
    "encoded_fov_mm": "encoded FOV [mm]",
    "recon_fov_mm": "recon FOV [mm]",
    "spacing_mm": "pixel [mm]",
    "readout_oversampling": "readout oversampling",
    "phase_limits": "phase encoding limits",
    "echo_time_ms": "echo time [ms]",
    "repetition_time_ms": "repetition time [ms]",
    "inversion_time_ms": "inversion time [ms]",
    "flip_angle_deg": "flip angle [deg]",
    "coils": "coils in the header",
}


def inspect(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE|FOLDER", help="k-space file, or a folder of them.")
    ] = None,
    axes: Axes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    env: Annotated[
        bool, typer.Option("--env", help="Show versions and devices instead, as wanted in a bug report.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell what is in a k-space file, and what is wrong with it.

    Matrix, coils, protocol, mask, acceleration, noise, problems found.
    Every slice is read once. Of a folder, each file gets a line.

    [bold]Examples[/bold]

    kascade inspect file.h5

    kascade inspect --env
    """
    if env:
        _show_environment(as_json)
    elif path is None:
        raise ConfigError("name a k-space file or a folder of them, or say --env")
    elif path.is_dir():
        _inspect_folder(path, axes, as_json)
    else:
        facts = _summary(path, axes)
        if as_json:
            console.result_json(facts)
        else:
            _show(facts)


def _summary(path: Path, axes: str | None) -> dict[str, Any]:
    from kascade.data import load
    from kascade.recon.summary import summarize

    with console.progress("reading"):
        return summarize(load(path, axes))


def _inspect_folder(folder: Path, axes: str | None, as_json: bool) -> None:
    from kascade.recon.sources import find_sources

    files = find_sources([folder]).files
    found, failures = [], []
    with console.progress() as bar:
        for file in bar.over(files, len(files)):
            try:
                found.append(_summary(file, axes))
            except KascadeError as error:
                failures.append(str(error))
    if as_json:
        console.result_json({"files": found, "failures": failures})
    elif found:
        console.table(("file", "slices", "coils", "matrix", "acceleration", "protocol", "problems"), map(_line, found))
        for facts in found:
            for problem in facts["problems"]:
                console.note(f"{facts['file']}: {problem}")
    console.exit_if_failed(failures, len(files))


def _line(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the table of a folder."""
    return (
        Path(facts["file"]).name,
        str(facts["slices"]),
        str(facts["coils"]),
        _text(facts["matrix"]),
        f"{facts['sampling'].get('true_acceleration', 1.0):.2f}",
        str(facts["header"].get("protocol", "")),
        str(len(facts["problems"])),
    )


def _show(facts: Mapping[str, Any]) -> None:
    rows, columns = facts["matrix"]
    lines = [
        ("slices", str(facts["slices"])),
        ("coils", str(facts["coils"])),
        ("k-space", f"{rows} rows (readout) x {columns} columns (phase encoding)"),
    ]
    lines += [(label, _text(facts["header"][key])) for key, label in HEADER_LABELS.items() if key in facts["header"]]
    lines += _sampling_lines(facts["sampling"])
    if facts["shots"]:
        lines.append(("shots", str(facts["shots"]["number"])))
        if "largest_shift_px" in facts["shots"]:
            shift, angle = facts["shots"]["largest_shift_px"], facts["shots"]["largest_angle_deg"]
            lines.append(("motion", f"stored, up to {shift:.3g} px and {angle:.3g} degrees"))
    noise = facts["noise"]
    if "standard_deviation" in noise:
        lines.append(("noise", f"{noise['standard_deviation']:.4g} per coil, from the {noise['source']}"))
        if noise["peak_snr"] is not None:
            lines.append(
                ("peak SNR", f"{noise['peak_snr']:.0f} (bright tissue over noise, fully sampled, no g-factor)")
            )
    else:
        lines.append(("noise", noise["source"]))
    if facts["target"]:
        lines.append(("target", f"{facts['target']['name']}, {_text(facts['target']['shape'])}"))
    if facts["maps"]:
        lines.append(("coil maps", _text(facts["maps"])))
    lines += [(name, _text(value)) for name, value in facts["attributes"].items()]
    console.facts(facts["file"] or facts["name"], lines)
    if not facts["problems"]:
        console.result("no problems found")
    for problem in facts["problems"]:
        console.result(f"problem: {problem}")


def _sampling_lines(sampling: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("mask", sampling["mask"] + (f", {sampling['kind']}" if "kind" in sampling else ""))]
    if "true_acceleration" in sampling:
        lines.append(("true acceleration", f"{sampling['true_acceleration']:.2f}"))
    if "acs_columns" in sampling:
        lines.append(("calibration", f"{sampling['acs_columns']} central columns"))
    if "acs_block" in sampling:
        lines.append(("calibration", f"central block of {_text(sampling['acs_block'])}"))
    if "acquired_columns" in sampling:
        left, right = sampling["acquired_columns"]
        lines.append(("zero-padded", f"only columns {left} to {right - 1} were acquired"))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " x ".join(_text(part) for part in value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _show_environment(as_json: bool) -> None:
    from kascade.cli.environment import environment

    rows = environment()
    if as_json:
        console.result_json(dict(rows))
    else:
        console.facts("environment", rows)
