"""`kascade convert`: any k-space file to a fastMRI-style h5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Axes, Debug, Force, Quiet
from kascade.errors import ConfigError, KascadeError

__all__ = ["convert"]


def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="k-space: cfl, npy, npz, mat, ISMRMRD, h5.")],
    destination: Annotated[
        Path, typer.Argument(metavar="FILE.h5|FOLDER", help="File to write; for a folder, a folder.")
    ],
    axes: Axes = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Convert k-space to the layout of fastMRI: one h5 file per scan.

    The content decides what a file is, not its name. Where an array's axes
    could mean two things, --axes must say.

    [bold]Examples[/bold]

    kascade convert full.cfl brain.h5

    kascade convert heads.npy heads.h5 --axes slice,coil,rows,columns
    """
    if not source.is_dir():
        _convert(source, destination, axes, force)
        return
    from kascade.recon.outputs import make_folder
    from kascade.recon.sources import find_sources

    if destination.suffix == ".h5":
        raise ConfigError(f"{destination}: {source} is a folder, so its files are converted into a folder")
    sources = find_sources([source])
    for path in sources.ignored:
        console.note(f"{path}: passed over, no k-space by its name")
    make_folder(destination)
    failures = []
    with console.progress() as bar:
        for path in bar.over(sources.files, len(sources.files)):
            try:
                _convert(path, destination, axes, force)
            except KascadeError as error:
                failures.append(str(error))
    console.exit_if_failed(failures, len(sources.files))


def _convert(source: Path, destination: Path, axes: str | None, force: bool) -> None:
    from kascade.data.convert import convert as convert_file

    with console.progress("converting"):
        scan = convert_file(source, destination, axes, force)
    for remark in scan.notes:
        console.warn(f"{source}: {remark}")
    slices, coils, rows, columns = scan.kspace.shape
    console.note(f"{source} -> {scan.path}: {slices} slices, {coils} coils, {rows} rows x {columns} columns")
