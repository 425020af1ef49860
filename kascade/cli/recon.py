"""`kascade recon`: k-space files in, images out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kascade.cli import console
from kascade.cli.options import (
    Accel,
    Acs,
    Axes,
    CenterFraction,
    Debug,
    Device,
    Force,
    KeepOversampling,
    MapsFile,
    MaskName,
    MaskSeed,
    Quiet,
    Sets,
    undersampling,
)
from kascade.errors import KascadeError

if TYPE_CHECKING:
    from kascade.recon.plan import Plan
    from kascade.recon.run import Outcome

__all__ = ["recon"]

OUTPUT = "Output"
RUN = "Many files"
MOST_TABLES = 4


def recon(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="k-space files, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the results.")],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help="zero-filled, sense, wavelet, tv or unrolled (a trained model). Default: unrolled where a model came "
            "with Kascade (see kascade models) or --model names one, else sense.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE|NAME",
            help="Trained model for unrolled: a .safetensors file, or a name that kascade models shows. Default: the "
            "one that came with Kascade and fits the data.",
        ),
    ] = None,
    lam: Annotated[
        float | None,
        typer.Option(
            "--lam",
            help="Regularization. sense: an upper bound on the noise amplification, small is smooth (default 5). "
            "wavelet, tv: weight of the penalty, large is smooth (default: chosen from the noise).",
        ),
    ] = None,
    sets: Sets = 1,
    whitening: Annotated[
        str,
        typer.Option(
            "--whitening",
            metavar="HOW",
            help="Whiten the coils' noise with that stored in the file (stored; without any, not at all), with that "
            "of the corners of k-space (corners), or never (none).",
        ),
    ] = "stored",
    virtual_coils: Annotated[
        int | None,
        typer.Option("--virtual-coils", metavar="N", help="Compress to N virtual coils first: less time and memory."),
    ] = None,
    motion: Annotated[
        str,
        typer.Option(
            "--motion",
            metavar="HOW",
            help="Motion between shots: none, stored (as the file tells it) or estimate (from the data; the file names "
            "the shot of each column).",
        ),
    ] = "none",
    maps: MapsFile = None,
    keep_oversampling: KeepOversampling = False,
    device: Device = "cpu",
    axes: Axes = None,
    accel: Accel = None,
    acs: Acs = None,
    mask: MaskName = None,
    center_fraction: CenterFraction = None,
    seed: MaskSeed = None,
    complex_values: Annotated[
        bool, typer.Option("--complex", rich_help_panel=OUTPUT, help="Complex images instead of magnitudes.")
    ] = False,
    nifti: Annotated[bool, typer.Option("--nifti", rich_help_panel=OUTPUT, help="NAME.nii.gz, too.")] = False,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", rich_help_panel=OUTPUT, help="The coil maps, too: maps/NAME.h5.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="What each iteration of unrolled made, too: every x_n, z_n, lambda_n, residual in FOLDER/NAME.h5, and "
            "the middle slice as a figure, FOLDER/NAME.png.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel=RUN, help="Only tell what would be done, and how much memory a slice needs."
        ),
    ] = False,
    force: Force = False,
    workers: Annotated[
        int, typer.Option("--workers", "-j", min=1, rich_help_panel=RUN, help="Files to work on at the same time.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=RUN, help="Go on where an earlier run stopped.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Reconstruct k-space: every slice of every file.

    Writes three files for each, together or not at all:
    NAME.h5    data set reconstruction (slices, rows, columns), cropped to
               the header's recon matrix where there is one
    NAME.png   all slices at a glance
    NAME.json  method, parameters, acceleration, iterations, residuals, times
    With --motion, NAME-motion.png, too: shifts and angle of each shot.

    Of a folder, every file is done; those that fail are told at the end.

    [bold]Examples[/bold]

    kascade recon brain.h5 -o out/ --accel 4 --acs 24

    kascade recon brain.h5 -o out/ --model runs/x/best.safetensors --trace t/

    kascade recon moved.h5 -o out/ --method sense --motion estimate

    kascade recon scans/ -o out/ --method wavelet --workers 4 --resume
    """
    from kascade.recon.models import default_method
    from kascade.recon.plan import Plan
    from kascade.recon.run import reconstruct_files
    from kascade.recon.sources import find_sources

    sources = find_sources(paths)
    for path in sources.ignored:
        console.note(f"{path}: passed over, no k-space by its name")
    given = {"lam": lam, "model": model, "motion": None if motion == "none" else motion}
    options: dict[str, Any] = {
        "sets": sets,
        "device": device,
        "whitening": whitening,
        "virtual_coils": virtual_coils,
    } | {name: value for name, value in given.items() if value is not None}
    plan = Plan(
        method=method or ("unrolled" if model is not None else default_method()),
        options=options,
        undersampling=undersampling(accel, acs, mask, center_fraction, seed),
        maps=maps,
        keep_oversampling=keep_oversampling,
        complex_values=complex_values,
        nifti=nifti,
        save_maps=save_maps,
        axes=axes,
        trace=trace,
    )
    if dry_run:
        _foretell(sources.files, plan)
        return
    with (
        console.progress() as bar,
        closing(
            reconstruct_files(
                sources.files, output, plan, workers=workers, resume=resume, force=force, progress=bar.part
            )
        ) as outcomes,
    ):
        failed = _report(bar.over(outcomes, len(sources.files)), output)
    if len(sources.files) == 1 and failed and failed[0].error is not None:
        raise failed[0].error
    console.exit_if_failed([str(outcome.error) for outcome in failed], len(sources.files))


def _foretell(files: Sequence[Path], plan: Plan) -> None:
    """Print what would be done to each file; nothing is written."""
    from kascade.recon.forecast import forecast, free_memory

    lines, failures = [], []
    for path in files:
        try:
            lines.append(forecast(path, plan).cells())
        except KascadeError as error:
            failures.append(str(error))
    if lines:
        console.table(("file", "slices", "coils", "matrix", "sampling", "method", "memory of a slice"), lines)
        console.note(free_memory(plan))
    console.exit_if_failed(failures, len(files))


def _report(outcomes: Iterable[Outcome], output: Path) -> list[Outcome]:
    """Print one line for each file that is done; give back those that failed."""
    failed = []
    for outcome in outcomes:
        if outcome.report is None:
            failed.append(outcome)
            continue
        report = outcome.report
        if outcome.skipped:
            console.note(f"{outcome.path}: done already")
            continue
        for warning in report["warnings"]:
            console.warn(f"{outcome.path}: {warning}")
        image = " x ".join(str(n) for n in report["image"])
        method = report["method"] + (f" by {report['model']['name']}" if "model" in report else "")
        console.note(
            f"{outcome.path}: {len(report['seconds'])} x {image}, {report['sampling']}, {method}, "
            f"{report['seconds_total']:.1f} s -> {output}"
        )
        _tell_motion([info["motion"] for info in report["slices"] if "motion" in info])
    return failed


def _tell_motion(slices: Sequence[Mapping[str, Any]]) -> None:
    """Print the curves of a few slices, of many their extent."""
    for index, motion in enumerate(slices):
        heading = f"slice {index}: "
        if not motion.get("accepted", True):
            without, found = motion["held_out_misfit"]
            console.note(
                f"{heading}no motion found, lines held out are predicted no better with any (misfit {found:.3f}, "
                f"without {without:.3f})"
            )
        elif len(slices) > MOST_TABLES:
            extent = [max(abs(line[p]) for line in motion["curves"]) for p in range(3)]
            console.note(f"{heading}up to {extent[0]:.2f} and {extent[1]:.2f} px, {extent[2]:.2f} deg")
        else:
            weights = motion.get("weights", [1.0] * len(motion["curves"]))
            rows = [
                (str(shot), *(f"{value:.2f}" for value in line), f"{weight:.2f}")
                for shot, (line, weight) in enumerate(zip(motion["curves"], weights, strict=True))
            ]
            console.table((f"{heading}shot", "rows [px]", "columns [px]", "angle [deg]", "weight"), rows)
