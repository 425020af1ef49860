"""`kascade bench`: measurements on the user's own machine."""

from __future__ import annotations

from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Device, Quiet
from kascade.errors import ConfigError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Measure speed on this machine, beside other packages.

    [bold]Example[/bold]

    kascade bench speed
    """


@app.command()
def speed(
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            metavar="NAME",
            help="gram-columns, gram-2d, sense, espirit, wavelet, train-step, import or help; may be given again. "
            "(default: all)",
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="NAME",
            help="mrpro, bart, sigpy, fastmri-style, cg-autograd, fastmri or networks; may be given again. "
            "(default: all)",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="CxRxC", help="Coils, rows and columns of k-space.")
    ] = "15x640x368",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns of each package.")] = 5,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of each package. (default: its own choice)")
    ] = None,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time operators and reconstructions, ours and those of other packages.

    Packages take turns in one run, so that ratios hold whatever else the
    machine does. Those that are not installed are named as missing:
    pip install 'kascade[benchmarks]' brings MRpro; BART comes from the system.

    [bold]Examples[/bold]

    kascade bench speed

    kascade bench speed --case sense --case espirit --repeats 9
    """
    from kascade.benchmarks.speed import format_table, machine, run, to_json, turns

    try:
        coils, rows, columns = (int(part) for part in size.split("x"))
    except ValueError as error:
        raise ConfigError(f"--size {size}: expected coils x rows x columns, such as 15x640x368") from error
    with console.progress() as bar:
        told = bar.narrator(turns(case, repeats, peer))
        measured = run(case, coils, rows, columns, repeats, device, told, peers=peer, threads=threads)
    if as_json:
        console.result_json(to_json(measured))
        return
    facts = machine()
    console.result(f"{size} on {facts['processor']}, {facts['cores']} cores, Python {facts['python']}\n")
    console.result(format_table(measured))
