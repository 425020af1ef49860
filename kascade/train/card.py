"""The model card: what a trained model is, saved with its weights and rendered as text."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from kascade import __version__
from kascade.train.batches import ExampleSource
from kascade.train.environment import machine
from kascade.train.recipe import BaseRecipe

__all__ = ["model_card", "render"]


def model_card(
    recipe: BaseRecipe,
    text: str,
    data: ExampleSource,
    model: nn.Module,
    steps: int,
    seconds: float,
    scores: dict[str, float],
    start: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Card of a model, of values that JSON holds.

    Parameters
    ----------
    recipe, text : BaseRecipe, str
        What it was trained by, and the text of that.
    data : ExampleSource
        What it was trained on.
    model : nn.Module
        The network.
    steps, seconds : int, float
        How many steps it has seen, in what time.
    scores : dict
        Of the validation; what is not finite is left out.
    start : dict, optional
        `start_facts` of the model that it started from; its hours are counted.
    """
    hours = seconds / 3600 + ((start["hours"] or 0) if start else 0)
    sources = [
        {
            "kind": source.kind,
            "folder": getattr(source, "folder", None),
            "training_files": len(training),
            "validation_files": len(validation),
            "licence": source.licence,
        }
        for source, (training, validation) in zip(recipe.sources, data.files, strict=True)
    ]
    return {
        "name": recipe.name,
        "description": recipe.description,
        "licence": recipe.licence,
        "data": sources,
        "fits": data.fits,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": recipe.training.seed,
        "steps": steps,
        "planned_steps": recipe.training.steps,
        "batch": recipe.training.batch,
        "hours": round(hours, 3),
        "machine": machine(),
        "kascade": __version__,
        "scores": {name: round(value, 4) for name, value in scores.items() if math.isfinite(value)},
        "validation_examples": len(data.validation()),
        "recipe": text,
        "start": start,
    }


def render(card: dict[str, Any]) -> str:
    """Card as Markdown."""
    scores = card["scores"]
    starts = _starts(card)
    lines = [
        f"# {card['name']}",
        "",
        card["description"] or "(no description)",
        "",
        f"- licence of the weights: {card['licence'] or '(none stated)'}",
        f"- parameters: {card['parameters']:,}",
        f"- training: {card['steps']} of {card['planned_steps']} steps of {card['batch']} examples, "
        f"{card['hours']:.2f} h on {card['machine']}, seed {card['seed']}, Kascade {card['kascade']}",
        *(_origin(start) for start in starts),
        f"- validation ({card['validation_examples']} scans that training did not see): "
        + ", ".join(f"{name} {value:.4g}" for name, value in scores.items()),
        "",
        "## Data",
        "",
        "| source | files for training | for validation | licence |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {source['folder'] or source['kind']} | {source['training_files'] or '-'} | "
        f"{source['validation_files'] or '-'} | {source['licence']} |"
        for source in card["data"]
    ]
    lines += ["", *_fenced("Recipe", card["recipe"])]
    for start in starts:
        lines += _fenced(f"Recipe of {start['name'] or 'the start'}", start["recipe"] or "# unknown")
    return "\n".join(lines)


def _starts(card: dict[str, Any]) -> list[dict[str, Any]]:
    """What a model started from, what that started from, and so on."""
    start = card["start"]
    return [] if start is None else [start, *_starts(start)]


def _origin(start: dict[str, Any]) -> str:
    hours = "hours unknown" if start["hours"] is None else f"{start['hours']:.2f} of the hours"
    name = start["name"] or "a model without a name"
    return f"- start: the networks of {name} ({start['steps'] or '?'} steps; {hours}), SHA-256 {start['sha256']}"


def _fenced(title: str, recipe: str) -> list[str]:
    return [f"## {title}", "", "```yaml", recipe.rstrip(), "```", ""]
