"""`kascade evaluate`: reconstructions against their targets, or images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Quiet
from kascade.errors import ConfigError

__all__ = ["evaluate"]


def evaluate(
    recon: Annotated[
        Path, typer.Argument(metavar="RECON", help="File with reconstruction, NIfTI volume, or a folder of them.")
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TARGET]",
            help="File with reconstruction_rss, reconstruction_esc or fully sampled kspace, NIfTI volume, or a folder "
            "of them.",
        ),
    ] = None,
    without_reference: Annotated[
        bool,
        typer.Option(
            "--no-reference", help="Score NIfTI files alone: Tenengrad, entropy and range of gray values (8 bit)."
        ),
    ] = False,
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

    NIfTI volumes on one grid are compared whole; SSIM takes windows of
    7 x 7 x 7 voxels in the box that holds the head.

    Without a reference, 99.9 % of the voxels of a volume lie between 0 and
    255; scores are means and standard deviations over slices.

    [bold]Examples[/bold]

    kascade evaluate out/ targets/

    kascade evaluate iso.nii.gz sub.nii.gz

    kascade evaluate --no-reference clean.nii.gz
    """
    if without_reference:
        if target is not None:
            raise ConfigError(f"--no-reference scores one file or folder alone; leave {target} out")
        _alone(recon, as_json)
        return
    if target is None:
        raise ConfigError(f"{recon}: TARGET is missing; name it, or score the image alone by --no-reference")
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


def _alone(path: Path, as_json: bool) -> None:
    from kascade.recon.evaluate_alone import evaluate_alone

    with console.progress("scoring"):
        found, problems, remarks = evaluate_alone(path)
    for remark in remarks:
        console.warn(remark)
    if as_json:
        pairs = {v: {n: {"mean": m, "std": s} for n, (m, s) in scores.items()} for v, scores in found.items()}
        console.result_json({"volumes": pairs})
    else:
        cells = [(volume, *(f"{m:.4g} ± {s:.3g}" for m, s in scores.values())) for volume, scores in found.items()]
        console.table(("volume", "Tenengrad", "entropy [bit]", "range"), cells)
    console.exit_if_failed(list(problems.values()), len(found) + len(problems))
