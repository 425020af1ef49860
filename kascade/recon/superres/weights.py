"""Networks of super-resolution as configuration, and their weights files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from kascade.errors import ConfigError, FileFormatError
from kascade.nets.bands import OnBands
from kascade.nets.build import build_net
from kascade.unroll.weights_file import WeightsFile, fill, fresh, read_weights, write_weights

__all__ = ["SuperResConfig", "SuperResModel", "build_superres", "load_superres", "save_superres", "superres_of"]

_HOME = {
    "styleswin": "kascade.nets.styleswin:StyleSwin",
    "transmrsr": "kascade.nets.transmrsr:TransMRSR",
    "edsr": "kascade.nets.superres_baselines:EDSR",
    "swinir": "kascade.nets.superres_baselines:SwinIR",
    "minet": "kascade.nets.superres_baselines:MINet",
    "gfpgan": "kascade.nets.gfpgan:GFPGAN",
    "restormer": "kascade.nets.restormer:Restormer",
    "hinet": "kascade.nets.hinet:HINet",
    "resunet": "kascade.nets.resunet:ResUNet",
    "unet": "kascade.nets.unet:UNet",
}


class SuperResConfig(BaseModel):
    """A network that sharpens interpolated slices, one channel in and one out, or a generator for one.

    Attributes
    ----------
    kind : str
        "transmrsr", "edsr", "swinir", "minet", "gfpgan", "restormer", "hinet", "resunet", "unet"; "styleswin" is the
        generator.
    options : dict
        Arguments of the network.
    bands : bool
        Have the network work at half the resolution, on bands of detail, see `OnBands`; sizes of the options are then
        half of those of images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "styleswin", "transmrsr", "edsr", "swinir", "minet", "gfpgan", "restormer", "hinet", "resunet", "unet"
    ]
    options: dict[str, Any] = Field(default_factory=dict)
    bands: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> SuperResConfig:
        if self.bands and self.kind == "styleswin":
            raise ValueError("bands are of images that a network sees; a generator sees none: leave them out")
        return self


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
    if config.kind == "styleswin":
        return build_net(_HOME, config.kind, {"channels": 1}, config.options)
    inputs, outputs = (OnBands.inputs, OnBands.outputs) if config.bands else (1, 1)
    network = build_net(_HOME, config.kind, {"in_channels": inputs, "out_channels": outputs}, config.options)
    return OnBands(network) if config.bands else network


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
    write_weights(path, model, {"superres": config.model_dump(mode="json")}, card, force)


def load_superres(path: str | os.PathLike[str]) -> SuperResModel:
    """Read a file that `save_superres` wrote.

    Raises
    ------
    FileFormatError
        If the file is absent, damaged, of something else, or does not fit the network as it is here.
    """
    file = read_weights(path)
    if "superres" not in file.content:
        raise FileFormatError(f"{path}: a model of another task; expected one of super-resolution")
    return superres_of(file)


def superres_of(file: WeightsFile) -> SuperResModel:
    """The network of a file that has been read; raises as `load_superres`."""
    try:
        config = SuperResConfig.model_validate(file.content["superres"])
        model = fresh(lambda: build_superres(config))
    except (ValidationError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file.path}: its configuration is not understood here ({reason})") from error
    return SuperResModel(fill(model, file, config.kind), config, file.content["card"])
