"""What a reconstruction method is, what it returns, and the methods by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from kascade.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from kascade.data.scan import Scan

__all__ = ["Method", "Progress", "Reconstruction", "get_method", "methods"]

Progress = Callable[[int, int], None]
"""Called as progress(done, total) after each iteration."""


@dataclass(frozen=True)
class Reconstruction:
    """One reconstructed slice.

    Attributes
    ----------
    image : Tensor
        (rows, columns): complex where the method gives a phase, else real (root sum of squares).
    trace : list of dict, or None
        One record for each iteration, in order, where the method has iterations worth telling of.
    info : mapping
        Method, parameters, true acceleration, iterations, convergence, seconds: all that JSON can hold.
    steps : mapping or None
        Of a cascade, where it was asked to keep them: "x", images after each SENSE step, and "z", after each network,
        (iterations, rows, columns), in the intensity of `image`.
    """

    image: Tensor
    trace: list[dict[str, float]] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Tensor] | None = None


class Method(Protocol):
    """A way to reconstruct: `method(scan, slice) -> Reconstruction`."""

    def __call__(self, scan: Scan, index: int, progress: Progress | None = None) -> Reconstruction:
        """Reconstruct slice `index` of `scan`."""
        ...


_METHODS = {
    "zero-filled": ("kascade.recon.zero_filled", "ZeroFilled"),
    "sense": ("kascade.recon.sense", "Sense"),
    "wavelet": ("kascade.recon.wavelet", "Wavelet"),
    "tv": ("kascade.recon.total_variation", "TotalVariation"),
    "unrolled": ("kascade.recon.unrolled", "Unrolled"),
}


def methods() -> dict[str, str]:
    """Names of the methods, each with one line of what it does."""
    lines = {}
    for name in _METHODS:
        lines[name] = (_class(name).__doc__ or "").strip().split("\n")[0]
    return lines


def get_method(name: str, **options: Any) -> Method:
    """Method by name, with its options and those of `Setup` (sets, acs, maps, whitening, device).

    Parameters
    ----------
    name : str
        One of `methods()`.
    **options
        Fields of the method's class (for instance ``lam``) and of `kascade.recon.setup.Setup`.

    Returns
    -------
    Method

    Raises
    ------
    ConfigError
        If there is no such method, or it has no such option.

    Examples
    --------
    >>> get_method("sense", lam=4.0, sets=2)(scan, 0).image
    """
    from kascade.recon.setup import Setup

    if name not in _METHODS:
        raise ConfigError(f"there is no method {name!r}; choose one of {', '.join(_METHODS)}")
    cls, own = _class(name), _own_options(name)
    shared = [f.name for f in fields(Setup)]
    unknown = [key for key in options if key not in own + shared]
    if unknown:
        raise ConfigError(_no_option(name, unknown, own + shared))
    setup = Setup(**{key: value for key, value in options.items() if key in shared})
    method: Method = cls(setup=setup, **{key: value for key, value in options.items() if key in own})
    return method


def _class(name: str) -> Any:
    module, cls = _METHODS[name]
    return getattr(import_module(module), cls)


def _own_options(name: str) -> list[str]:
    return [f.name for f in fields(_class(name)) if f.name != "setup"]


def _no_option(name: str, unknown: list[str], known: list[str]) -> str:
    """What a user reads who gave options of another method, perhaps without having named any."""
    missing = f"method {name!r} has no option {', '.join(unknown)}"
    if name == "unrolled" and "lam" in unknown:
        missing += ", a trained model brings its own lambdas"
    others = [other for other in _METHODS if set(unknown) <= set(_own_options(other))]
    elsewhere = f"; --method {' or '.join(others)} would take {' and '.join(unknown)}" if others else ""
    return f"{missing}; it takes {', '.join(known)}{elsewhere}"
