"""Weights files of any task: cascades, networks of restoration, networks of super-resolution."""

from __future__ import annotations

import os

from kascade.recon.restoration.config import KINDS
from kascade.recon.restoration.weights import RestorationModel, restorer_of
from kascade.recon.superres.weights import SuperResModel, superres_of
from kascade.unroll.weights import TrainedModel, model_of
from kascade.unroll.weights_file import read_weights

__all__ = ["AnyModel", "load_any", "task_of"]

AnyModel = TrainedModel | RestorationModel | SuperResModel


def load_any(path: str | os.PathLike[str]) -> AnyModel:
    """Read a trained model, whatever its task.

    Raises
    ------
    FileFormatError
        As `kascade.unroll.load_model`.
    """
    file = read_weights(path)
    if "superres" in file.content:
        return superres_of(file)
    config = file.content.get("config")
    restores = isinstance(config, dict) and config.get("kind") in KINDS
    return restorer_of(file) if restores else model_of(file)


def task_of(model: AnyModel) -> str:
    """What a model is for: "reconstruction", "restoration" or "super-resolution"."""
    if isinstance(model, SuperResModel):
        return "super-resolution"
    return "restoration" if isinstance(model, RestorationModel) else "reconstruction"
