"""What `kascade models` shows: all models that there are, and the card of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kascade.errors import KascadeError
from kascade.recon.models import Model, found_models, load_named, shipped_image_models, shipped_models

__all__ = ["COLUMNS", "ModelList", "card_facts", "list_models", "table_row"]

COLUMNS = ("model", "what for", "trained on", "parameters", "file", "licence", "validation", "where")
"""Heads of the table of `table_row`."""

_LONG = ("recipe",)  # texts of many lines, shown after the facts


@dataclass(frozen=True)
class ModelList:
    """All models: those that came with Kascade, the user's, and why files could not be read."""

    shipped: tuple[Model, ...]
    found: tuple[Model, ...]
    problems: tuple[str, ...]


def list_models() -> ModelList:
    """Read every model there is.

    Raises
    ------
    ConfigError
        As `found_models`.
    """
    problems: list[str] = []
    both: list[tuple[Model, ...]] = []
    for paths in ((*shipped_models().values(), *shipped_image_models().values()), found_models()):
        models = []
        for path in paths:
            try:
                models.append(load_named(path, {}))
            except KascadeError as error:
                problems.append(str(error))
        both.append(tuple(models))
    return ModelList(both[0], both[1], tuple(problems))


def table_row(model: Model, shipped: bool) -> tuple[str, ...]:
    """The model's line of the table, see `COLUMNS`."""
    card = model.card
    return (
        model.name,
        _text(card.get("description")),
        _sources(card.get("data")),
        f"{model.parameters:,}",
        f"{model.path.stat().st_size / 1e6:.1f} MB",
        _text(card.get("licence")),
        _text(card.get("scores")),
        "shipped" if shipped else str(model.path),
    )


def card_facts(model: Model) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The whole card of a model.

    Returns
    -------
    list of (str, str)
        File, checksum, network, and every entry of the card.
    dict
        Longer texts of the card by name, such as the recipe.
    """
    network = "cascade" if model.task == "reconstruction" else "network"
    facts = [
        ("file", str(model.path)),
        ("sha256", model.sha256),
        ("size", f"{model.path.stat().st_size / 1e6:.2f} MB"),
        ("parameters", f"{model.parameters:,}"),
        ("task", model.task),
        *((f"{network}: {key}", _text(value)) for key, value in model.config.items()),
    ]
    known = {name for name, _ in facts}
    facts += [(k, _text(value)) for k, value in model.card.items() if k not in (*_LONG, *known)]
    return facts, {key: str(model.card[key]) for key in _LONG if model.card.get(key)}


def _sources(data: Any) -> str:
    """Names of the data that a model was trained on."""
    if not isinstance(data, list):
        return _text(data)
    return ", ".join(_text(s.get("folder") or s.get("kind")) if isinstance(s, Mapping) else _text(s) for s in data)


def _text(value: Any) -> str:
    """Value of a card in one line."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        ends = all(isinstance(item, int | float) for item in value) and len(value) == 2
        return (" to " if ends else "; ").join(_text(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
