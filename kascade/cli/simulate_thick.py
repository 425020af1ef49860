"""`kascade simulate-thick`: a fine volume as a scan of thick slices would show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet

__all__ = ["simulate_thick"]


def simulate_thick(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="NIfTI volume of thin slices.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.nii.gz", help="File to write.")],
    factor: Annotated[int, typer.Option("--factor", min=2, help="How many voxels lie between slice centers.")] = 4,
    axis: Annotated[
        str, typer.Option("--axis", metavar="x|y|z", help="Across sagittal (x), coronal (y) or axial (z) slices.")
    ] = "z",
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="NAME", help="Slice profile: gaussian, box, or fermi (few partitions of a 3-D scan)."
        ),
    ] = "gaussian",
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate thick slices of a volume, for super-resolution with a known truth.

    Slice centers lie at voxels 0, s, 2s, ... of the axis; the affine says
    where that is. The Gaussian profile is s voxels wide at half maximum.

    [bold]Examples[/bold]

    kascade simulate-thick sub.nii.gz -o thick.nii.gz --factor 4 --axis z --profile gaussian
    """
    from kascade.data.simulation.thick import simulate_thick_file

    with console.progress("simulating"):
        thick = simulate_thick_file(source, output, factor, axis, profile, force)
    for problem in thick.problems:
        console.warn(f"{source}: {problem}")
    shape, spacing = (" x ".join(f"{n:g}" for n in values) for values in (thick.data.shape, thick.spacing_mm))
    console.note(f"{output}: {shape} voxels of {spacing} mm")
