"""`kascade demo`: everything once, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of what is made.")] = Path(
        "kascade-demo"
    ),
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what Kascade does, in about a minute and without data.

    Simulates a multi-coil scan of a head, writes it as fastMRI h5,
    undersamples it, reconstructs it by every method there is, compares with
    the truth and draws all images and their errors side by side.

    [bold]Example[/bold]

    kascade demo
    """
    from kascade.benchmarks.demo import run_demo, steps

    with console.progress() as bar:
        made = run_demo(output, force, bar.narrator(steps()))
    rows = [(r.method, f"{r.seconds:.1f} s", f"{r.nmse:.4f}", f"{r.psnr:.2f} dB", f"{r.ssim:.4f}") for r in made.rows]
    console.table(("method", "time", "NMSE", "PSNR", "SSIM"), rows)
    console.result(f"the picture:  {made.picture}")
    console.note(f"look into it: kascade inspect {made.undersampled}")
    console.note(f"do it again:  kascade recon {made.undersampled} -o out --method wavelet")
    console.note(f"and compare:  kascade evaluate out/head.h5 {made.scan}")
