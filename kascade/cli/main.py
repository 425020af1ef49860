"""The program `kascade`: its commands, and what happens to their errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from kascade import __version__
from kascade.cli import bench, console
from kascade.cli.convert import convert
from kascade.cli.degrade import degrade
from kascade.cli.demo import demo
from kascade.cli.evaluate import evaluate
from kascade.cli.gfactor import gfactor
from kascade.cli.inspect import inspect
from kascade.cli.latents import latents
from kascade.cli.models import models
from kascade.cli.options import Debug, Quiet
from kascade.cli.recon import recon
from kascade.cli.restore import restore
from kascade.cli.simulate import simulate
from kascade.cli.simulate_thick import simulate_thick
from kascade.cli.sweep import SeveralAccelerations, sweep
from kascade.cli.train import train
from kascade.errors import ConfigError, FileFormatError, KascadeError, ShapeError

__all__ = ["app", "main"]

BAD_INPUT = 2
FAILURE = 1

app = typer.Typer(
    name="kascade",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (inspect, convert, recon, evaluate):
    app.command(no_args_is_help=True)(command)
app.command(no_args_is_help=True, cls=SeveralAccelerations)(sweep)
app.command(no_args_is_help=True)(gfactor)
app.command(no_args_is_help=True)(simulate)
app.command("simulate-thick", no_args_is_help=True)(simulate_thick)
app.command(no_args_is_help=True)(degrade)
app.command(no_args_is_help=True)(restore)
app.command(no_args_is_help=True)(train)
app.command(no_args_is_help=True)(latents)
app.command()(models)
app.command()(demo)
app.add_typer(bench.app, name="bench")


def _print_version(value: bool) -> None:
    if value:
        print(f"kascade {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """MRI reconstruction: k-space in, image out."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program; the entry point of the console script.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Raises
    ------
    SystemExit
        Always: code 0, 1 for a failure, 2 for bad input or a wrong command line.
    """
    console.settings.quiet = console.settings.debug = False
    command = typer.main.get_command(app)
    try:
        with console.readable_warnings():
            command(args=None if argv is None else list(argv), prog_name="kascade")
    except KascadeError as error:
        _fail(str(error), BAD_INPUT if isinstance(error, ConfigError | FileFormatError | ShapeError) else FAILURE)
    except Exception as error:
        _fail(f"{type(error).__name__}: {error} (a bug? --debug prints the traceback)", FAILURE)


def _fail(message: str, code: int) -> None:
    if console.settings.debug:
        traceback.print_exc()
    console.error(message)
    sys.exit(code)
