"""Priors by name: Kascade's own networks, and those of other packages (entry-point group `kascade.priors`)."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torch import nn

from kascade.errors import ConfigError
from kascade.unroll.adapter import CHANNELS, Prior, as_prior

__all__ = ["GROUP", "Identity", "make_prior", "priors"]

GROUP = "kascade.priors"
# The same stand in pyproject.toml; from here they are found in a checkout that was never installed.
_OURS = {
    "unet": "kascade.nets.unet:UNet",
    "resunet": "kascade.nets.resunet:ResUNet",
    "restormer": "kascade.nets.restormer:Restormer",
    "residual-cnn": "kascade.nets.residual_cnn:ResidualCNN",
    "transmrsr": "kascade.nets.transmrsr:TransMRSR",
    "cag": "kascade.nets.cag:CAG",
    "identity": "kascade.unroll.registry:Identity",
}
# For "slices" as many come out as go in: the middle one is the slice itself, also where a network adds its input.
_WIDTH = dict(zip(CHANNELS, (2, 1, 3), strict=True))


class Identity(nn.Identity):
    """No network: the image as it is."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()


def priors() -> dict[str, str]:
    """Names of the priors that `make_prior` knows, each with one line about it.

    An entry point that cannot be loaded is listed with the reason.
    """
    lines = {}
    for name, point in _entry_points().items():
        try:
            lines[name] = _one_line(point)
        except ConfigError as error:
            lines[name] = str(error)
    return lines


def make_prior(
    name: str,
    channels: str = "complex",
    size: int | None = None,
    stride: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Prior:
    """Build a network by name and plug it in.

    Parameters
    ----------
    name : str
        One of `priors()`.
    channels, size, stride
        As in `as_prior`.
    options : mapping, optional
        Arguments of the network. `in_channels` and `out_channels`, where the network takes them, follow from `channels`
        unless they are given: 2 for "complex", 1 for "magnitude", 3 for "slices".

    Returns
    -------
    Prior

    Raises
    ------
    ConfigError
        If there is no such prior, it cannot be loaded, or it refuses its options.

    Notes
    -----
    A package adds a prior by an entry point of the group `kascade.priors` that names a callable; called with `options`
    it returns a network for `as_prior`, or a `Prior`, which is taken as it is. If two packages use one name, or a
    package uses one of Kascade's, it is called "package:name".

    Examples
    --------
    >>> make_prior("unet", options={"channels": 18, "levels": 4})
    """
    points = _entry_points()
    if name not in points:
        raise ConfigError(
            f"there is no prior {name!r}; choose one of {', '.join(points)}, or install the package of it"
        )
    factory, given = _load(points[name]), dict(options or {})
    accepted = _arguments(factory)
    if channels in _WIDTH:
        for key in ("in_channels", "out_channels"):
            if key in accepted:
                given.setdefault(key, _WIDTH[channels])
    try:
        network = factory(**given)
    except Exception as error:  # torch and foreign networks raise what they like about sizes that cannot be
        raise ConfigError(
            f"prior {name!r} refuses the options {given}: {_first_line(error)}; "
            f"it takes {', '.join(accepted) or 'none'}"
        ) from error
    if isinstance(network, Prior):
        return network
    if not isinstance(network, nn.Module):
        raise ConfigError(f"prior {name!r} ({points[name].value}) gave {type(network).__name__}, expected an nn.Module")
    return as_prior(network, channels, size, stride)


def _entry_points() -> dict[str, EntryPoint]:
    """All that can be asked for, ours first."""
    ours = {name: EntryPoint(name, value, GROUP) for name, value in _OURS.items()}
    others = [p for p in entry_points(group=GROUP) if _package(p) != "kascade"]
    uses = Counter([*ours, *(p.name for p in others)])
    return ours | {p.name if uses[p.name] == 1 else f"{_package(p)}:{p.name}": p for p in others}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def _load(point: EntryPoint) -> Callable[..., object]:
    try:
        found = point.load()
    except Exception as error:  # whatever a foreign module does when it is imported
        raise ConfigError(
            f"prior {point.name!r} of the package {_package(point)} cannot be loaded from {point.value}: "
            f"{type(error).__name__}: {_first_line(error)}; mend or remove that package"
        ) from error
    if not callable(found):
        raise ConfigError(
            f"prior {point.name!r} of the package {_package(point)}: {point.value} is not callable, expected a class "
            "or function that returns an nn.Module"
        )
    factory: Callable[..., object] = found
    return factory


def _one_line(point: EntryPoint) -> str:
    documentation = inspect.getdoc(_load(point)) or f"{point.value}, without a description"
    return documentation.strip().split("\n")[0]


def _arguments(factory: Callable[..., object]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, p in inspect.signature(factory).parameters.items() if p.kind in kinds]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
