"""`kascade simulate`: multi-coil k-space of images or of the built-in head phantom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet
from kascade.errors import ConfigError, KascadeError

__all__ = ["simulate"]

HEAD = "Built-in head (phantom)"
MOVING = "Moving head"
SHOTS, ORDER = 16, "interleaved"


def simulate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|phantom",
            help="NIfTI volume, npy array of images, a folder of them, or the word phantom: the built-in head.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.h5|FOLDER", help="File to write; for a folder, a folder.")
    ],
    coils: Annotated[int, typer.Option("--coils", min=1, help="Receive coils around the head.")] = 8,
    snr: Annotated[
        float, typer.Option("--snr", help="Mean signal over noise, fully sampled, coils combined; inf: no noise.")
    ] = 30.0,
    slices: Annotated[
        str | None, typer.Option("--slices", metavar="A:B", help="Only slices A to B-1, counted from 0.")
    ] = None,
    oversampling: Annotated[
        float, typer.Option("--oversampling", help="Readout oversampling, such as the scanner's 2.")
    ] = 1.0,
    orientation: Annotated[
        str, typer.Option("--orientation", metavar="NAME", help="Slices of a volume: axial, coronal or sagittal.")
    ] = "axial",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of noise and phase, and of the phantom.")] = 0,
    store_maps: Annotated[
        bool, typer.Option("--store-maps", help="Store the true coil maps; recon then uses them, not ESPIRiT.")
    ] = False,
    motion: Annotated[
        str | None,
        typer.Option(
            "--motion",
            metavar="SEVERITY",
            rich_help_panel=MOVING,
            help="Move the head between shots: mild, moderate or severe (up to 1, 2.5 or 5 px and degrees), or still.",
        ),
    ] = None,
    shots: Annotated[int, typer.Option("--shots", min=1, rich_help_panel=MOVING, help="Shots of each image.")] = SHOTS,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            metavar="NAME",
            rich_help_panel=MOVING,
            help="Columns of a shot: interleaved (every shot covers k-space) or sequential (one block each).",
        ),
    ] = ORDER,
    matrix: Annotated[
        str, typer.Option("--matrix", metavar="SxRxC", rich_help_panel=HEAD, help="Slices, rows and columns.")
    ] = "8x256x256",
    contrast: Annotated[
        str, typer.Option("--contrast", metavar="NAME", rich_help_panel=HEAD, help="t1, t2, flair or pd.")
    ] = "t1",
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate a fully sampled multi-coil scan: images in, k-space out.

    Coil sensitivities are those of current loops around the head
    (Biot-Savart), the object gets a smooth phase, the coils correlated noise.
    The noise-free image is stored as the target. With --motion, the shots,
    their true motion and coil maps of a calibration at rest are stored, too.

    [bold]Examples[/bold]

    kascade simulate volume.nii.gz -o sim.h5 --coils 8 --snr 30 --slices 80:90

    kascade simulate volume.nii.gz -o moved.h5 --motion moderate --seed 1 --slices 80:82

    kascade simulate phantom -o head.h5 --contrast t2 --oversampling 2
    """
    if motion is None and (shots, order) != (SHOTS, ORDER):
        raise ConfigError("--shots and --order are for a head that moves; add --motion")
    options = {
        "coils": coils,
        "snr": snr,
        "slices": slices,
        "readout_oversampling": oversampling,
        "orientation": orientation,
        "store_maps": store_maps,
        "shape": _matrix(matrix),
        "contrast": contrast,
        "motion": motion,
        "shots": shots,
        "order": order,
        "force": force,
    }
    if not Path(source).is_dir():
        if output.is_dir():
            raise ConfigError(f"{output}: a folder; expected the name of an .h5 file")
        _simulate(source, output, seed, options)
        return
    from kascade.data.simulation.files import image_files, image_name
    from kascade.recon.outputs import make_folder

    if output.suffix == ".h5":
        raise ConfigError(f"{output}: {source} is a folder, so its files are simulated into a folder")
    files = image_files(Path(source))
    make_folder(output)
    failures = []
    with console.progress() as bar:
        for index, file in enumerate(bar.over(files, len(files))):
            try:
                _simulate(str(file), output / f"{image_name(file)}.h5", seed + index, options)
            except KascadeError as error:
                failures.append(str(error))
    console.exit_if_failed(failures, len(files))


def _simulate(source: str, path: Path, seed: int, options: dict[str, Any]) -> None:
    from kascade.data.simulation.files import simulate_file

    with console.progress("simulating"):
        scan = simulate_file(source, path, seed=seed, **options)
    for remark in scan.notes:
        console.warn(f"{source}: {remark}")
    slices, coils, rows, columns = scan.kspace.shape
    console.note(f"{path}: {slices} slices, {coils} coils, {rows} rows x {columns} columns")


def _matrix(text: str) -> tuple[int, ...]:
    try:
        slices, rows, columns = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise ConfigError(f"--matrix {text}: expected slices x rows x columns, such as 8x256x256") from error
    return slices, rows, columns
