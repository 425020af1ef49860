"""Networks of super-resolution as configuration, and their weights files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import nn

from kascade.data.atomic import atomic_output
from kascade.errors import ConfigError, FileFormatError
from kascade.unroll.weights import FORMAT, _digest, _read, _unique_tensors

__all__ = ["SuperResConfig", "SuperResModel", "build_superres", "load_superres", "save_superres"]

_HOME = {
    "styleswin": ("kascade.nets.styleswin", "StyleSwin"),
    "transmrsr": ("kascade.nets.transmrsr", "TransMRSR"),
    "edsr": ("kascade.nets.superres_baselines", "EDSR"),
    "swinir": ("kascade.nets.superres_baselines", "SwinIR"),
    "restormer": ("kascade.nets.restormer", "Restormer"),
    "hinet": ("kascade.nets.hinet", "HINet"),
    "resunet": ("kascade.nets.resunet", "ResUNet"),
    "unet": ("kascade.nets.unet", "UNet"),
}


class SuperResConfig(BaseModel):
    """A network that sharpens interpolated slices, one channel in and one out, or a generator for one.

    Attributes
    ----------
    kind : str
        "transmrsr", "edsr", "swinir", "restormer", "hinet", "resunet", "unet"; "styleswin" is the generator.
    options : dict
        Arguments of the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["styleswin", "transmrsr", "edsr", "swinir", "restormer", "hinet", "resunet", "unet"]
    options: dict[str, Any] = Field(default_factory=dict)


class SuperResModel(NamedTuple):
    """A network in evaluation mode, what it was built from, and its model card."""

    model: nn.Module
    config: SuperResConfig
    card: dict[str, Any]


def build_superres(config: SuperResConfig) -> nn.Module:
    """Build a network with fresh weights.

    Raises
    ------
    ConfigError
        If the network refuses its options.
    """
    module, name = _HOME[config.kind]
    channels = {"channels": 1} if config.kind == "styleswin" else {"in_channels": 1, "out_channels": 1}
    try:
        network = getattr(import_module(module), name)(**channels, **config.options)
    except Exception as error:  # torch raises what it likes about sizes that cannot be
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ConfigError(f"model {config.kind!r} refuses the options {config.options}: {reason}") from error
    assert isinstance(network, nn.Module)
    return network


def save_superres(
    path: str | os.PathLike[str],
    model: nn.Module,
    config: SuperResConfig,
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
        content = {"format": FORMAT, "superres": config.model_dump(mode="json"), "card": dict(card)}
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: JSON cannot hold the model card: {error}; nothing written") from error
    with atomic_output(path, force) as beside:
        beside.write_bytes(save(tensors, {"kascade": text, "kascade.sha256": _digest(text, tensors)}))


def load_superres(path: str | os.PathLike[str]) -> SuperResModel:
    """Read a file that `save_superres` wrote.

    Raises
    ------
    FileFormatError
        If the file is absent, damaged, of something else, or does not fit the network as it is here.
    """
    path = Path(path)
    text, digest, tensors = _read(path)
    try:
        content = json.loads(text)
        if "superres" not in content:
            raise FileFormatError(f"{path}: a model of another task; expected one of super-resolution")
        config, card = SuperResConfig.model_validate(content["superres"]), dict(content["card"])
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            model = build_superres(config)
    except (ValidationError, ConfigError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
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
    return SuperResModel(model.eval(), config, card)
