"""`kascade latents`: the centers of a generator's latents, which self-distilled truncation draws to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet

__all__ = ["latents"]


def latents(
    generator: Annotated[
        Path, typer.Argument(metavar="FILE.safetensors", help="Generator that `kascade train` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors", help="File to write.")],
    samples: Annotated[int, typer.Option("--samples", min=8, help="How many latents are clustered.")] = 60_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the latents and of K-means.")] = 0,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the latents of a generator, and store their centers with its weights.

    TransMRSR (recipes/transmrsr.yaml) begins from such a file.

    [bold]Examples[/bold]

    kascade latents runs/styleswin-pretrain/best.safetensors -o runs/styleswin-pretrain/centered.safetensors
    """
    from kascade.train.superres.latents import center_latents

    with console.progress("clustering"):
        centers = center_latents(generator, output, samples, seed, force)
    console.note(f"{output}: {len(centers)} centers of {samples} latents")
