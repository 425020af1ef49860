"""Networks by name, as weights files and recipes name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn

from kascade.errors import ConfigError

__all__ = ["build_net", "check_size"]


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


def check_size(build: Callable[[], nn.Module], kind: str, key: str, size: Sequence[int]) -> None:
    """Refuse sizes of images that a network cannot take; it is built without memory or weights.

    Options that the network refuses pass: who builds it says so, and where they stand.

    Parameters
    ----------
    build : callable
        Makes the network, which has a `stride`.
    kind : str
        What it is called.
    key : str
        Where a recipe says the size.
    size : sequence of int
        Rows and columns.

    Raises
    ------
    ValueError
        If rows or columns are no multiple of the network's stride.
    """
    try:
        with torch.device("meta"):
            stride = build().stride
    except ConfigError:
        return
    assert isinstance(stride, int)
    if any(n % stride for n in size):
        raise ValueError(f"this {kind} needs {key} in multiples of {stride}, got {' x '.join(map(str, size))}")
