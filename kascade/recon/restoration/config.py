"""Networks of restoration as configuration: what a recipe says and a weights file remembers."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from kascade.nets.build import build_net

__all__ = ["CHANNELS", "KINDS", "Kind", "RestorationConfig", "build_network"]

Kind = Literal["classifier", "restormer", "cag", "hinet", "pix2pix", "srgan", "resvit"]
KINDS: tuple[str, ...] = get_args(Kind)

CHANNELS = 3
"""A slice between its neighbors."""

_HOME = {
    "classifier": "kascade.nets.cag:DegradationClassifier",
    "restormer": "kascade.nets.restormer:Restormer",
    "cag": "kascade.nets.cag:CAG",
    "hinet": "kascade.nets.hinet:HINet",
    "pix2pix": "kascade.nets.pix2pix:Pix2Pix",
    "srgan": "kascade.nets.srgan:SRResNet",
    "resvit": "kascade.nets.resvit:ResViT",
}


class RestorationConfig(BaseModel):
    """A network that restores images, three adjacent slices as channels, or classifies what degraded them.

    Attributes
    ----------
    kind : str
        "classifier" (of degradations), or "restormer", "cag", "hinet", "pix2pix", "srgan", "resvit".
    options : dict
        Arguments of the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    options: dict[str, Any] = Field(default_factory=dict)


def build_network(config: RestorationConfig) -> nn.Module:
    """Build a network with fresh weights: (batch, 3, rows, columns) in, the same out, or four logits of a classifier.

    Raises
    ------
    ConfigError
        If the network refuses its options.
    """
    channels = {"in_channels": CHANNELS}
    if config.kind != "classifier":
        channels["out_channels"] = CHANNELS
    return build_net(_HOME, config.kind, channels, config.options)
