"""`kascade sweep`: how lambda decides the quality of a reconstruction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kascade.cli import console
from kascade.cli.options import (
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
from kascade.errors import ConfigError

__all__ = ["SeveralAccelerations", "parse_range", "sweep"]

DEFAULT_RANGES = {"sense": "0.5:50:12", "wavelet": "0.0005:0.02:8", "tv": "0.0005:0.02:8"}


class SeveralAccelerations(TyperCommand):
    """A command whose `--accel` takes several numbers: `--accel 4 6` is read as `--accel 4 --accel 6`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each number that follows it."""
        repeated: list[str] = []
        after = 0  # numbers seen since --accel; 0 elsewhere
        for word in args:
            number = re.fullmatch(r"\d+(\.\d*)?", word) is not None
            if after > 1 and number:
                repeated.append("--accel")
            after = 1 if word in ("--accel", "-R") else after + 1 if after and number else 0
            repeated.append(word)
        return super().parse_args(ctx, repeated)


def parse_range(text: str) -> list[float]:
    """Values of lambda: `FROM:TO:COUNT`, evenly spaced on a logarithmic scale, or `A,B,C`.

    Raises
    ------
    ConfigError
        If it is neither, or a value is not positive.
    """
    message = f"--lam {text}: expected FROM:TO:COUNT, such as 0.5:50:12, or values, such as 1,2,5, all positive"
    try:
        if ":" not in text:
            values = [float(part) for part in text.split(",")]
        else:
            first, last, count = text.split(":")
            low, high, steps = float(first), float(last), int(count)
            if steps < 2 or not 0 < low < high:
                raise ConfigError(message)
            values = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]
    except ValueError as error:
        raise ConfigError(message) from error
    if not all(0 < value < float("inf") for value in values):
        raise ConfigError(message)
    return sorted(set(values))


def sweep(
    path: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="Fully sampled k-space; a folder is averaged.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the results.")],
    accel: Annotated[
        list[float], typer.Option("--accel", "-R", metavar="R...", help="Nominal accelerations, such as 4 6.")
    ],
    lam: Annotated[
        str | None,
        typer.Option(
            "--lam",
            metavar="FROM:TO:COUNT",
            help="Values of lambda, evenly on a logarithmic scale; or A,B,C. (default: 0.5:50:12; wavelet and tv: "
            "0.0005:0.02:8)",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="sense, wavelet or tv, with lambda as in recon.")
    ] = "sense",
    sets: Sets = 1,
    maps: MapsFile = None,
    keep_oversampling: KeepOversampling = False,
    device: Device = "cpu",
    axes: Axes = None,
    acs: Acs = None,
    mask: MaskName = None,
    center_fraction: CenterFraction = None,
    seed: MaskSeed = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure PSNR and SSIM against lambda.

    Undersamples fully sampled k-space, reconstructs it at each lambda and
    compares inside the head, with the noise floor taken out of the target.
    SENSE at small lambda: smooth and aliased; at large lambda: noisy. The
    best one lies between. Writes NAME.csv and NAME.png into the output folder.

    [bold]Example[/bold]

    kascade sweep brain.h5 --accel 4 6 --lam 0.5:50:12 -o sweep/
    """
    from kascade.benchmarks.lambda_sweep import best, lambda_sweep, sweep_csv, sweep_figure
    from kascade.recon.outputs import all_or_none, make_folder
    from kascade.recon.prepare import prepare_scan
    from kascade.recon.setup import Setup
    from kascade.recon.sources import find_sources, result_name
    from kascade.report.figures import save_figure

    if method not in DEFAULT_RANGES:
        raise ConfigError(f"--method {method}: expected {', '.join(DEFAULT_RANGES)}, whose lambda can be swept")
    lams = parse_range(lam or DEFAULT_RANGES[method])
    specs = [spec for r in accel if (spec := undersampling(r, acs, mask, center_fraction, seed)) is not None]
    files = find_sources([path]).files
    scans = [prepare_scan(file, None, keep_oversampling, maps, axes)[0] for file in files]
    make_folder(output)
    name = result_name(path.resolve())
    outputs = [output / f"{name}.csv", output / f"{name}.png"]
    with all_or_none(outputs, force) as (table, figure):
        total = sum(len(scan) for scan in scans) * len(specs) * len(lams)
        with console.progress() as bar:
            points = lambda_sweep(scans, specs, lams, Setup(sets=sets, device=device), bar.counter(total), method)
        table.write_text(sweep_csv(points), encoding="utf-8")
        save_figure(sweep_figure(points, f"{method}, {name}"), figure)
    rows = []
    for r in accel:
        by_psnr, by_ssim = best(points, r, "psnr"), best(points, r, "ssim")
        first = (f"{r:g}", f"{by_psnr.true_acceleration:.2f}", f"{by_psnr.lam:.3g}", f"{by_psnr.psnr:.2f} dB")
        rows.append((*first, f"{by_ssim.lam:.3g}", f"{by_ssim.ssim:.4f}"))
    console.table(("R", "true", "λ of best PSNR", "PSNR", "λ of best SSIM", "SSIM"), rows)
    console.note(f"{outputs[0]}, {outputs[1]}")
