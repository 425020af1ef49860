"""`kascade gfactor`: how much noise an acceleration costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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

__all__ = ["gfactor"]


def gfactor(
    path: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="k-space file, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the results.")],
    lam: Annotated[float, typer.Option("--lam", help="Regularization strength, the bound.")] = 5.0,
    slice_: Annotated[
        int | None, typer.Option("--slice", min=0, help="Slice, counted from 0. (default: the middle one)")
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=2, help="Noise realizations; 100 are right to 5 %.")] = 100,
    sets: Sets = 1,
    maps: MapsFile = None,
    keep_oversampling: KeepOversampling = False,
    device: Device = "cpu",
    axes: Axes = None,
    accel: Accel = None,
    acs: Acs = None,
    mask: MaskName = None,
    center_fraction: CenterFraction = None,
    seed: MaskSeed = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map the noise amplification of SENSE, with the lambda bound beside it.

    For each pixel: the g-factor of unregularized SENSE in closed form (where
    columns 0, R, 2R, ... allow one), and the noise of regularized SENSE by
    pseudo-replicas, 1 for full sampling and never above lambda. Writes
    NAME.png, NAME.h5 (the maps) and NAME.json (their statistics).

    [bold]Example[/bold]

    kascade gfactor brain.h5 --accel 4 -o g/
    """
    from kascade.recon.noise_maps import noise_file
    from kascade.recon.setup import Setup
    from kascade.recon.sources import find_sources

    spec = undersampling(accel, acs, mask, center_fraction, seed)
    files = find_sources([path]).files
    failures = []
    for file in files:
        try:
            with console.progress() as bar:
                facts = noise_file(
                    file,
                    output,
                    spec,
                    index=slice_,
                    lam=lam,
                    replicas=replicas,
                    setup=Setup(sets=sets, device=device),
                    maps=maps,
                    keep_oversampling=keep_oversampling,
                    axes=axes,
                    force=force,
                    progress=bar.part,
                )
        except KascadeError as error:
            if len(files) == 1:
                raise
            failures.append(str(error))
        else:
            _show(facts)
    console.exit_if_failed(failures, len(files))


def _show(facts: dict[str, Any]) -> None:
    columns = ("median", "percentile_95", "max")
    labels = {
        "gfactor": f"g-factor, R = {facts['accel']}, unregularized",
        "noise_amplification": f"noise amplification, at most λ = {facts['lam']:g}",
        "bias": "bias, relative to bright tissue",
    }
    rows = [(label, *(f"{facts[key][c]:.3g}" for c in columns)) for key, label in labels.items() if key in facts]
    heading = f"{facts['input']}, slice {facts['slice']}, {facts['sampling']}"
    console.result(heading)
    console.table(("", "median", "95 %", "max"), rows)
    console.note(", ".join(facts["outputs"]))
