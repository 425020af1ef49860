"""`kascade models`: the trained models that there are, and their cards."""

from __future__ import annotations

from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Quiet

__all__ = ["models"]


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="Show the whole model card of this one.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List trained models: what for, data, size, licence, scores.

    Shipped ones come with Kascade; yours are those of the folder
    $KASCADE_MODELS (NAME.safetensors, or NAME/best.safetensors) and of the
    training runs in ./runs. kascade recon --model takes a name or a file.

    [bold]Examples[/bold]

    kascade models

    kascade models runs/x/best.safetensors
    """
    if name is None:
        _list()
    else:
        _card(name)


def _list() -> None:
    from kascade.recon.model_table import COLUMNS, list_models, table_row

    models = list_models()
    rows = [table_row(model, True) for model in models.shipped] + [table_row(model, False) for model in models.found]
    if rows:
        console.table(COLUMNS, rows)
    else:
        console.note("no model is shipped with this installation or found; train one: kascade train RECIPE.yaml")
    for problem in models.problems:
        console.warn(problem)


def _card(name: str) -> None:
    from kascade.recon.model_table import card_facts
    from kascade.recon.models import load_named

    model = load_named(name, {})
    facts, texts = card_facts(model)
    console.facts(model.name, facts)
    for heading, text in texts.items():
        console.result(f"{heading}:\n\n{text.rstrip()}\n")
