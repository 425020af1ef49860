"""Trained networks of restoration as .safetensors files, of the layout that cascades have."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import nn

from kascade.data.atomic import atomic_output
from kascade.errors import ConfigError, FileFormatError
from kascade.recon.restoration.config import KINDS, RestorationConfig, build_network
from kascade.unroll.weights import FORMAT, TrainedModel, _digest, _read, _unique_tensors, load_model

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
    tensors = {name: t.detach().cpu().contiguous() for name, t in _unique_tensors(model).items()}
    try:
        content = {"format": FORMAT, "config": config.model_dump(mode="json"), "card": dict(card)}
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: JSON cannot hold the model card: {error}; nothing written") from error
    with atomic_output(path, force) as beside:
        beside.write_bytes(save(tensors, {"kascade": text, "kascade.sha256": _digest(text, tensors)}))


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
    path = Path(path)
    text, digest, tensors = _read(path)
    try:
        content = json.loads(text)
        if content["config"]["kind"] not in KINDS or content["format"] != FORMAT:
            return load_model(path)
        config = RestorationConfig.model_validate(content["config"])
        card = dict(content["card"])
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            model = build_network(config)
    except (ValidationError, ConfigError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path}: its configuration is not understood here ({reason})") from error
    if digest != _digest(text, tensors):
        raise FileFormatError(f"{path}: is damaged (its checksum is wrong); get it again")
    own = _unique_tensors(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
        raise FileFormatError(
            f"{path}: its weights do not fit the network {config.kind!r} as it is here; use the version that wrote it, "
            "or train again"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
    return RestorationModel(model.eval(), config, card)
