"""Networks of restoration as configuration: what a recipe says and a weights file remembers."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from kascade.errors import ConfigError

__all__ = ["CHANNELS", "KINDS", "Kind", "RestorationConfig", "build_network"]

Kind = Literal["classifier", "restormer", "cag", "hinet", "pix2pix", "srgan", "resvit"]
KINDS: tuple[str, ...] = get_args(Kind)

CHANNELS = 3
"""A slice between its neighbors."""

_HOME = {
    "classifier": ("kascade.nets.cag", "DegradationClassifier"),
    "restormer": ("kascade.nets.restormer", "Restormer"),
    "cag": ("kascade.nets.cag", "CAG"),
    "hinet": ("kascade.nets.hinet", "HINet"),
    "pix2pix": ("kascade.nets.pix2pix", "Pix2Pix"),
    "srgan": ("kascade.nets.srgan", "SRResNet"),
    "resvit": ("kascade.nets.resvit", "ResViT"),
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
    module, name = _HOME[config.kind]
    channels = {"in_channels": CHANNELS}
    if config.kind != "classifier":
        channels["out_channels"] = CHANNELS
    try:
        network = getattr(import_module(module), name)(**channels, **config.options)
    except Exception as error:  # torch raises what it likes about sizes that cannot be
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ConfigError(f"model {config.kind!r} refuses the options {config.options}: {reason}") from error
    assert isinstance(network, nn.Module)
    return network
