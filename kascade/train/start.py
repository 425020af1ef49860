"""The trained model that a training starts from (`training.start_from`)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from kascade.errors import FileFormatError
from kascade.recon.model_files import AnyModel, load_any

__all__ = ["load_start", "start_facts"]


def load_start(name: str) -> AnyModel:
    """Read the file that `training.start_from` names.

    Raises
    ------
    FileFormatError
        If it is absent: says what to train first; or damaged.
    """
    path = Path(name)
    if not path.exists():
        recipe = f"the recipe {path.parent.name!r}" if path.parent.name else "the recipe that makes it"
        raise FileFormatError(
            f"training.start_from: there is no file {name}; train {recipe} first (kascade train), start where its runs "
            "folder is, or name another file"
        )
    try:
        return load_any(path)
    except FileFormatError as error:
        raise FileFormatError(f"training.start_from: {error}") from error


def start_facts(name: str) -> dict[str, Any]:
    """What a model card says about the file of `training.start_from`, so that it can be made again.

    Returns
    -------
    dict
        "sha256" of the file and, from its own card (None where that does not say), "name", "steps", "hours", "recipe",
        and "start" where it began with another in turn.

    Raises
    ------
    FileFormatError
        As `load_start`.
    """
    card = load_start(name).card
    facts = {key: card.get(key) for key in ("name", "steps", "hours", "recipe", "start")}
    return {"sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest(), **facts}
