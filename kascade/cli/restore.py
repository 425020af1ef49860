"""`kascade restore`: degraded volumes, restored by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Device, Force, Quiet

__all__ = ["restore"]


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="NIfTI volume of magnitudes.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="NIfTI file to write.")],
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME|FILE", help="Trained network: a file, or a name of kascade models."),
    ] = "cag",
    explain: Annotated[
        bool, typer.Option("--explain", help="Also write where the network saw degradation, as NAME_cag.nii.gz.")
    ] = False,
    device: Device = "cpu",
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Restore an image from unknown motion, low resolution and noise.

    Slice by slice, each seen between its neighbors; geometry, header and data
    type of the file are kept, background that is exactly 0 stays 0. What the
    image does not hold the network guesses: look at the original, too.

    [bold]Example[/bold]

    kascade restore scan.nii.gz -o clean.nii.gz --model cag --explain
    """
    from kascade.recon.restoration.restore import explanation_path, restore_file

    with console.progress() as bar:
        restored, problems = restore_file(
            source, output, model, explain=explain, device=device, force=force, progress=bar.part
        )
    for problem in problems:
        console.warn(f"{source}: {problem}")
    if restored.degradations:
        seen = ", ".join(f"{name} {value:.2f}" for name, value in restored.degradations.items())
        console.note(f"the classifier's mean probabilities: {seen}")
    console.note(f"{output}: {restored.plane} slices" + (f"; {explanation_path(output)}" if explain else ""))
