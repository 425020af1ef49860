"""`kascade evaluate`: reconstructions against their targets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Quiet

__all__ = ["evaluate"]


def evaluate(
    recon: Annotated[Path, typer.Argument(metavar="RECON", help="File with reconstruction, or a folder of them.")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="File with reconstruction_rss, reconstruction_esc or fully sampled kspace, or a folder of them.",
        ),
    ],
    no_crop: Annotated[
        bool, typer.Option("--no-crop", help="Compare whole frames instead of the central columns x columns.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare reconstructions with their targets: NMSE, PSNR, SSIM.

    The numbers are those of fastmri.evaluate: each volume is cut to its
    central columns x columns, then the largest value of the target volume is
    the peak. Files of two folders belong together by name.

    [bold]Example[/bold]

    kascade evaluate out/ targets/
    """
    from kascade.recon.evaluate_files import evaluate_files

    with console.progress("comparing"):
        found = evaluate_files(recon, target, crop=not no_crop)
    if as_json:
        console.result_json({"volumes": found["volumes"], "mean": found["mean"]})
    else:
        rows = [*found["volumes"].items(), ("mean", found["mean"])]
        cells = [(name, f"{m['nmse']:.5f}", f"{m['psnr']:.3f}", f"{m['ssim']:.4f}") for name, m in rows]
        console.table(("volume", "NMSE", "PSNR [dB]", "SSIM"), cells)
    for remark in found["notes"]:
        console.note(remark)
    console.exit_if_failed(list(found["problems"].values()), len(found["volumes"]) + len(found["problems"]))
