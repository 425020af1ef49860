"""Networks by name, as weights files and recipes name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from kascade.errors import ConfigError

__all__ = ["build_net", "stride_of"]


def build_net(
    places: Mapping[str, str], kind: str, channels: Mapping[str, int], options: Mapping[str, Any]
) -> nn.Module:
    """Build the network that `places` names as "module:class", with fresh weights.

    Raises
    ------
    ConfigError
        If the network refuses its options.
    """
    module, _, name = places[kind].partition(":")
    try:
        network = getattr(import_module(module), name)(**channels, **options)
    except Exception as error:  # torch raises what it likes about sizes that cannot be
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ConfigError(f"model {kind!r} refuses the options {options}: {reason}") from error
    assert isinstance(network, nn.Module)
    return network


def stride_of(build: Callable[[], nn.Module]) -> int:
    """What rows and columns of the images of a network must be multiples of; it is built without memory or weights.

    Raises
    ------
    ConfigError
        As `build`.
    """
    with torch.device("meta"):
        stride = build().stride
    assert isinstance(stride, int)
    return stride
