"""Options that several commands share, declared once so that they look and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kascade.cli.console import settings
from kascade.errors import ConfigError

if TYPE_CHECKING:
    from kascade.data.masks import MaskSpec

__all__ = [
    "Accel",
    "Acs",
    "Axes",
    "CenterFraction",
    "Debug",
    "Device",
    "Force",
    "KeepOversampling",
    "MapsFile",
    "MaskName",
    "MaskSeed",
    "Quiet",
    "Sets",
    "undersampling",
]


def _set_quiet(value: bool) -> None:
    settings.quiet = settings.quiet or value


def _set_debug(value: bool) -> None:
    settings.debug = settings.debug or value


def _check_device(value: str) -> str:
    """Refuse a device that is not there, before anything is read."""
    if value == "cpu":
        return value
    import torch

    try:
        torch.empty(1, device=value)
    except (RuntimeError, AssertionError) as error:  # torch's errors for unknown names and for missing devices
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"--device {value}: not available ({reason}); use cpu, or see kascade inspect --env"
        ) from error
    return value


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_set_quiet, help="Print results, warnings and errors only.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Print the traceback of an error.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite existing output files.")]

SAMPLING = "Retrospective undersampling"
Accel = Annotated[
    float | None,
    typer.Option(
        "--accel", "-R", rich_help_panel=SAMPLING, help="Nominal acceleration; without it the file's own mask is used."
    ),
]
Acs = Annotated[
    int | None, typer.Option("--acs", rich_help_panel=SAMPLING, help="Fully sampled central lines (default 24).")
]
MaskName = Annotated[
    str | None,
    typer.Option(
        "--mask",
        rich_help_panel=SAMPLING,
        metavar="NAME",
        help="uniform (default; columns 0, R, 2R, ... and the central lines), random, equispaced, "
        "equispaced_fraction, magic, magic_fraction (those of the fastMRI package) or poisson (2-D).",
    ),
]
CenterFraction = Annotated[
    float | None,
    typer.Option(
        "--center-fraction",
        rich_help_panel=SAMPLING,
        help="Central lines as a fraction of all columns, instead of --acs.",
    ),
]
MaskSeed = Annotated[
    int | None,
    typer.Option("--seed", rich_help_panel=SAMPLING, help="Seed of a random mask; without it the file's name decides."),
]

Device = Annotated[str, typer.Option("--device", metavar="cpu|cuda", callback=_check_device, help="Where to compute.")]
MapsFile = Annotated[
    Path | None,
    typer.Option("--maps", metavar="FILE", help="Coil maps to use (h5 by --save-maps, npy or cfl) instead of ESPIRiT."),
]
Sets = Annotated[
    int,
    typer.Option("--sets", min=1, help="ESPIRiT map sets; 2 where the object is larger than the field of view."),
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes",
        metavar="NAMES",
        help="What the axes of the file's array are, in its order, where its format leaves that open: "
        "coil,rows,columns or slice,coil,rows,columns, ...",
    ),
]
KeepOversampling = Annotated[
    bool,
    typer.Option("--keep-oversampling", help="Keep the readout oversampling instead of removing it first, exactly."),
]


def undersampling(
    accel: float | None, acs: int | None, mask: str | None, center_fraction: float | None, seed: int | None
) -> MaskSpec | None:
    """Make a `MaskSpec` of the options; None where no acceleration is asked for.

    Raises
    ------
    ConfigError
        If other options of a mask are given without `accel`, or they contradict each other.
    """
    from kascade.data.masks import MaskSpec

    if accel is None:
        given = {"--acs": acs, "--mask": mask, "--center-fraction": center_fraction, "--seed": seed}
        useless = [name for name, value in given.items() if value is not None]
        if useless:
            raise ConfigError(f"{useless[0]} undersamples retrospectively and needs --accel R")
        return None
    return MaskSpec(mask or "uniform", accel, acs, center_fraction, seed)
