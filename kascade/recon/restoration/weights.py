"""Trained networks of restoration as .safetensors files, of the layout that cascades have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import nn

from kascade.errors import ConfigError, FileFormatError
from kascade.recon.restoration.config import KINDS, RestorationConfig, build_network
from kascade.unroll.weights_file import WeightsFile, fill, fresh, read_weights, write_weights

__all__ = ["RestorationModel", "load_restorer", "restorer_of", "save_restorer"]


class RestorationModel(NamedTuple):
    """A network in evaluation mode, what it was built from, and its model card."""

    model: nn.Module
    config: RestorationConfig
    card: dict[str, Any]


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
    file = read_weights(path)
    config = file.content.get("config")
    if not isinstance(config, dict) or config.get("kind") not in KINDS:
        raise FileFormatError(f"{path}: a model of another task; expected one of restoration")
    return restorer_of(file)


def restorer_of(file: WeightsFile) -> RestorationModel:
    """The network of a file that has been read; raises as `load_restorer`."""
    try:
        config = RestorationConfig.model_validate(file.content["config"])
        model = fresh(lambda: build_network(config))
    except (ValidationError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file.path}: its configuration is not understood here ({reason})") from error
    return RestorationModel(fill(model, file, config.kind), config, file.content["card"])
