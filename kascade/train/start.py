"""The trained model whose priors a training starts from (`training.start_from`)."""

from __future__ import annotations

from pathlib import Path

from kascade.errors import FileFormatError
from kascade.unroll.weights import TrainedModel, load_model

__all__ = ["load_start"]


def load_start(name: str) -> TrainedModel:
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
        return load_model(path)
    except FileFormatError as error:
        raise FileFormatError(f"training.start_from: {error}") from error
