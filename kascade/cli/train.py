"""`kascade train`: a model from a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Force, Quiet

__all__ = ["train"]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="What to train, on what, and how.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Run folder. (default: runs/ and the recipe's name)"),
    ] = None,
    data: Annotated[
        Path,
        typer.Option("--data", metavar="FOLDER", envvar="KASCADE_DATA", help="Where the data folders of recipes are."),
    ] = Path(),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the training in the run folder from its last validation.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of the optimizer, instead of the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed, instead of the recipe's.")] = None,
    accelerator: Annotated[
        str, typer.Option("--accelerator", metavar="auto|cpu|cuda", help="Where to compute; Lightning's names.")
    ] = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="How many; they share each batch.")] = 1,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model as a recipe says.

    Everything goes into the run folder: recipe, environment, log
    (metrics.csv, curves.png, TensorBoard), validation images, best and last
    weights, model card. After a kill at any moment --resume continues, to the
    same weights.

    [bold]Examples[/bold]

    kascade train recipes/brain-unrolled.yaml --data DATA

    kascade recon brain.h5 --model runs/brain-unrolled/best.safetensors -o out/
    """
    from kascade.train.recipe import with_training
    from kascade.train.run import check_run, is_first_process
    from kascade.train.run import train as run_training
    from kascade.train.tasks import load_task, make_data

    plan, text = load_task(recipe)
    plan = with_training(plan, steps=steps, seed=seed)
    folder = Path("runs") / plan.name if output is None else output
    check_run(plan, folder, resume, force)
    with console.progress() as bar:
        examples = make_data(plan, data, bar.part)
    trained = run_training(
        plan,
        examples,
        folder,
        text=text if steps is None and seed is None else None,
        resume=resume,
        force=force,
        accelerator=accelerator,
        devices=devices,
        progress=sys.stderr.isatty() and not console.settings.quiet,
        told=console.note,
    )
    if is_first_process():
        from kascade.train.log import score_text

        console.result(f"{trained.weights}: {score_text(trained.scores)} on validation, step {trained.step}")
