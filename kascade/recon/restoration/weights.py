"""Trained networks of restoration as .safetensors files, of the layout that cascades have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import nn

from kascade.errors import ConfigError, FileFormatError
from kascade.recon.restoration.config import KINDS, RestorationConfig, build_network
from kascade.unroll.weights import TrainedModel, model_of
from kascade.unroll.weights_file import fill, fresh, read_weights, write_weights

__all__ = ["AnyModel", "RestorationModel", "load_any", "load_restorer", "save_restorer"]


class RestorationModel(NamedTuple):
    """A network in evaluation mode, what it was built from, and its model card."""

    model: nn.Module
    config: RestorationConfig
    card: dict[str, Any]


AnyModel = TrainedModel | RestorationModel


def save_restorer(
    path: str | os.PathLike[str],
    model: nn.Module,
    config: RestorationConfig,
    card: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Write weights, configuration and card to one file, whole or not at all.

    Raises
    ------
    ConfigError
        If JSON cannot hold the card.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    write_weights(path, model, {"config": config.model_dump(mode="json")}, card, force)


def load_restorer(path: str | os.PathLike[str]) -> RestorationModel:
    """Read a file that `save_restorer` wrote.

    Raises
    ------
    FileFormatError
        If the file is absent, damaged, of something else, or does not fit the network as it is here.
    """
    model = load_any(path)
    if not isinstance(model, RestorationModel):
        raise FileFormatError(f"{path}: a {model.config.kind} model, which reconstructs k-space; use kascade recon")
    return model


def load_any(path: str | os.PathLike[str]) -> AnyModel:
    """Read a trained model, whether it reconstructs or restores.

    Raises
    ------
    FileFormatError
        As `load_restorer` and `kascade.unroll.load_model`.
    """
    file = read_weights(path)
    found = file.content.get("config")
    if not isinstance(found, dict) or found.get("kind") not in KINDS:
        return model_of(file)
    try:
        config = RestorationConfig.model_validate(found)
        model = fresh(lambda: build_network(config))
    except (ValidationError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path}: its configuration is not understood here ({reason})") from error
    return RestorationModel(fill(model, file, config.kind), config, file.content["card"])
