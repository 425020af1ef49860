"""`kascade degrade`: volumes with motion, low resolution, noise and mixtures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet
from kascade.errors import KascadeError

__all__ = ["degrade"]


def degrade(
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="NIfTI volume, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write.")],
    sources: Annotated[
        str,
        typer.Option(
            "--sources", metavar="NAMES", help="Of motion, low-resolution, noise and clean; + makes mixtures."
        ),
    ] = "motion,low-resolution,noise,motion+low-resolution,motion+noise",
    severity: Annotated[str, typer.Option("--severity", metavar="NAMES", help="Of mild, moderate and severe.")] = (
        "mild,moderate,severe"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides everything random.")] = 0,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Degrade images as a scanner would, slice by slice.

    Each volume is written in every mixture and severity as
    NAME_MIXTURE-SEVERITY.nii.gz, with its labels in a .json beside it.
    Where the background is exactly 0, all versions get noise of the same
    kind there, so that the background tells nothing.

    [bold]Examples[/bold]

    kascade degrade t1w/ -o degraded/ --sources motion,low-resolution,noise --severity mild,severe

    kascade degrade head.nii.gz -o degraded/ --sources clean,motion+noise
    """
    from kascade.data.degradation.files import degrade_file, nifti_files, variants
    from kascade.recon.outputs import make_folder

    wanted = variants(sources.split(","), severity.split(","))
    files = nifti_files(source)
    make_folder(output)
    failures = []
    with console.progress() as bar:
        for file in bar.over(files, len(files)):
            try:
                for problem in degrade_file(file, output, wanted, seed, force):
                    console.warn(f"{file}: {problem}")
            except KascadeError as error:
                if len(files) == 1:
                    raise
                failures.append(str(error))
    console.note(f"{output}: {(len(files) - len(failures)) * len(wanted)} degraded volumes, each with its labels")
    console.exit_if_failed(failures, len(files))
