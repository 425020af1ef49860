"""`kascade restore`: degraded volumes, restored by a trained network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Device, Force, Quiet
from kascade.errors import ConfigError

__all__ = ["restore"]


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="NIfTI volume of magnitudes.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="NIfTI file to write.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE",
            help="Trained network: a file, or a name of kascade models; with --factor also cubic: no network, "
            "interpolation made consistent. (default: cag, with --factor edsr-thick or edsr-thick-8)",
        ),
    ] = None,
    factor: Annotated[
        int | None,
        typer.Option("--factor", min=2, help="Slices are thick: this many fine voxels from one to the next."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="FILE", help="With --factor: NIfTI volume on the grid you want.")
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis",
            metavar="NAME",
            help="With --factor: x, y or z of RAS+, across the slices. (default: where voxels are clearly longest)",
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="With --factor: slice profile, gaussian, box or fermi.")
    ] = "gaussian",
    explain: Annotated[
        bool, typer.Option("--explain", help="Also write where the network saw degradation, as NAME_cag.nii.gz.")
    ] = False,
    device: Device = "cpu",
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Restore an image: unknown motion, low resolution and noise, or thick slices.

    Without --factor slice by slice, each seen between its neighbors;
    geometry, header and data type of the file are kept, background that is
    exactly 0 stays 0. With --factor a volume of thick slices becomes a fine
    one that is consistent with the slices. What the image does not hold the
    network guesses: look at the original, too.

    [bold]Examples[/bold]

    kascade restore scan.nii.gz -o clean.nii.gz --model cag --explain

    kascade restore thick.nii.gz -o iso.nii.gz --factor 4
    """
    if factor is not None:
        if explain:
            raise ConfigError("--explain is for restoration without --factor; leave one of them out")
        _super_resolve(source, output, model or _trained_for(factor), factor, like, axis, profile, device, force)
        return
    if like is not None or axis is not None or profile != "gaussian":
        raise ConfigError("--like, --axis and --profile are for thick slices; add --factor")
    from kascade.recon.restoration.restore import explanation_path, restore_file

    with console.progress() as bar:
        restored, problems = restore_file(
            source, output, model or _shipped("cag"), explain=explain, device=device, force=force, progress=bar.part
        )
    for problem in problems:
        console.warn(f"{source}: {problem}")
    if restored.degradations:
        seen = ", ".join(f"{name} {value:.2f}" for name, value in restored.degradations.items())
        console.note(f"the classifier's mean probabilities: {seen}")
    console.note(f"{output}: {restored.plane} slices" + (f"; {explanation_path(output)}" if explain else ""))


def _trained_for(factor: int) -> str:
    """Of the networks that come with Kascade the one whose factor is nearest."""
    trained = {4: "edsr-thick", 8: "edsr-thick-8"}
    return _shipped(trained[min(trained, key=lambda known: abs(math.log(known / factor)))])


def _shipped(name: str) -> str:
    """File of a network that comes with Kascade, whatever the user's own are called."""
    from kascade.recon.models import shipped_image_models

    return str(shipped_image_models()[name])


def _super_resolve(
    source: Path,
    output: Path,
    model: str,
    factor: int,
    like: Path | None,
    axis: str | None,
    profile: str,
    device: str,
    force: bool,
) -> None:
    from kascade.recon.superres.files import super_resolve_file

    with console.progress() as bar:
        fine = super_resolve_file(
            source,
            output,
            factor,
            model=None if model == "cubic" else model,
            like=like,
            axis=axis,
            profile=profile,
            device=device,
            force=force,
            watch=bar.part,
        )
    for problem in fine.problems:
        console.warn(f"{source}: {problem}")
    shape, spacing = (" x ".join(f"{n:.3g}" for n in values) for values in (fine.data.shape, fine.spacing_mm))
    console.note(f"{output}: {shape} voxels of {spacing} mm")
