"""Trained models: those that come with Kascade, those that the user has, and which one fits the data."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kascade.errors import ConfigError, FileFormatError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "FOLDER_VARIABLE",
    "Model",
    "candidate_models",
    "default_method",
    "find_model",
    "found_models",
    "load_named",
    "misfit",
    "misfits",
    "model_fingerprint",
    "ready_methods",
    "shipped_folder",
    "shipped_image_models",
    "shipped_models",
]

FOLDER_VARIABLE = "KASCADE_MODELS"
"""Environment variable: a folder of the user's own models."""

SUFFIX = ".safetensors"
BEST = f"best{SUFFIX}"


@dataclass(frozen=True)
class Model:
    """A trained model, ready to use.

    Attributes
    ----------
    name : str
        Of the file without suffix; of a training run, that of its folder.
    path : Path
        The file.
    network : nn.Module
        In evaluation mode; a cascade: ``network(E, y, trace=False) -> CascadeOutput``, or a network for images.
    task : str
        What it is for: "reconstruction", "restoration" or "super-resolution".
    config : mapping
        What it was built from.
    card : mapping
        Its model card. Keys that Kascade looks at: "description", "data", "licence" and "scores" for tables; "fits",
        ranges of "acceleration" (true) and "coils" that it is made for: ``{"acceleration": [1, 8], "coils": [1, 32]}``.
    sha256 : str
        Of the file, as ``sha256sum`` prints it.
    """

    name: str
    path: Path
    network: nn.Module
    task: str
    config: Mapping[str, Any]
    card: Mapping[str, Any]
    sha256: str

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.network.parameters())


def shipped_folder() -> Path:
    """Folder of the models that come with Kascade; it need not exist."""
    return Path(str(files("kascade"))) / "models"


def shipped_models() -> dict[str, Path]:
    """Models that come with Kascade, by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob(f"*{SUFFIX}"))}


def shipped_image_models() -> dict[str, Path]:
    """Networks for images that come with Kascade, by name: of restoration, and of super-resolution."""
    folders = [shipped_folder() / task for task in ("restoration", "superres")]
    return {path.stem: path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))}


def found_models() -> dict[Path, str]:
    """The user's models with their names: in the folder $KASCADE_MODELS, and the best of each training run in ./runs.

    Raises
    ------
    ConfigError
        If $KASCADE_MODELS is set, but is no folder.
    """
    found: dict[Path, str] = {}
    own = os.environ.get(FOLDER_VARIABLE)
    if own:
        folder = Path(own)
        if not folder.is_dir():
            raise ConfigError(f"${FOLDER_VARIABLE}={own} is not a folder; name one with {SUFFIX} files, or unset it")
        found |= {path: path.stem for path in sorted(folder.glob(f"*{SUFFIX}"))}
        found |= {path: path.parent.name for path in sorted(folder.glob(f"*/{BEST}"))}
    found |= {path: path.parent.name for path in sorted(Path("runs").glob(f"*/{BEST}"))}
    once = {path.resolve(): path for path in reversed(found)}  # the two folders may be one
    return {path: name for path, name in found.items() if once[path.resolve()] == path}


def find_model(name: str | os.PathLike[str]) -> Path:
    """File of a model.

    Parameters
    ----------
    name : str or path
        A file, or a name that `shipped_models`, `shipped_image_models` or `found_models` knows.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If there is no such model, or there are several.
    """
    text, path = os.fspath(name), Path(name)
    if path.is_file():
        return path
    if path.suffix == SUFFIX or path.name != text:
        raise ConfigError(f"model {text}: there is no such file; expected a {SUFFIX} file, or a name: kascade models")
    shipped, found = shipped_models() | shipped_image_models(), found_models()
    places = {place.resolve(): place for place, known in found.items() if known == text}
    if text in shipped:
        places[shipped[text].resolve()] = shipped[text]
    if len(places) > 1:
        raise ConfigError(f"model {text!r} is ambiguous: {', '.join(map(str, places.values()))}; name the file")
    if not places:
        known = ", ".join(sorted({*shipped, *found.values()})) or "none: train one, or name a file"
        raise ConfigError(f"there is no model {text!r}; there are {known}")
    return next(iter(places.values()))


def load_named(name: str | os.PathLike[str] | None, facts: Mapping[str, float], device: str = "cpu") -> Model:
    """Load a model, or the one that comes with Kascade and fits the data. It is read once and then kept.

    Parameters
    ----------
    name : str or path, optional
        As `find_model`; by default the first model that comes with Kascade whose card fits `facts`, else the first.
    facts : mapping
        What is known of the data: "acceleration" (true) and "coils".
    device : str
        torch device.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        If there is no such model, or none is named and none came with Kascade.
    FileFormatError
        If the file cannot be read.
    """
    candidates = [_load(path, device) for path in candidate_models(name)]
    return next((model for model in candidates if misfit(model, facts) is None), candidates[0])


def candidate_models(name: str | os.PathLike[str] | None) -> list[Path]:
    """File of the model of that name; of those that came with Kascade where none is named.

    Raises
    ------
    ConfigError
        As `load_named`.
    """
    if name is not None:
        return [find_model(name)]
    shipped = list(shipped_models().values())
    if not shipped:
        raise ConfigError(
            f"no model came with this installation of Kascade ({shipped_folder()} holds none); name one with --model "
            "(model=), or choose another method"
        )
    return shipped


def misfit(model: Model, facts: Mapping[str, float]) -> str | None:
    """What in `facts` lies outside the ranges that the model's card names, in words; None where nothing does.

    Raises
    ------
    FileFormatError
        If the card's "fits" is not what it should be.
    """
    ranges = model.card.get("fits", {})
    try:
        outside = {
            key: (float(low), float(high))
            for key, (low, high) in ranges.items()
            if key in facts and not float(low) <= facts[key] <= float(high)
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise FileFormatError(
            f'{model.path}: "fits" of its card is {ranges!r}; expected ranges such as {{"acceleration": [1, 8]}}'
        ) from error
    if not outside:
        return None
    parts = [f"{key} {low:g} to {high:g}, not {facts[key]:.3g}" for key, (low, high) in outside.items()]
    return f"model {model.name} is made for {' and '.join(parts)}"


def misfits(model: Model, facts: Iterable[Mapping[str, float]]) -> list[str]:
    """What `misfit` says of each of `facts`, sorted, the same only once; raises as it."""
    return sorted({reason for each in facts if (reason := misfit(model, each)) is not None})


def default_method() -> str:
    """Name of the method that is used where none is named: "unrolled" where a model came with Kascade, else "sense"."""
    return "unrolled" if shipped_models() else "sense"


def ready_methods() -> list[str]:
    """Names of the methods that need no further option here: without a shipped model, all but "unrolled"."""
    from kascade.recon.method import methods

    return [name for name in methods() if name != "unrolled" or shipped_models()]


def model_fingerprint(name: str | os.PathLike[str] | None) -> str:
    """SHA-256 of a model's file; of all that came with Kascade where none is named.

    Raises
    ------
    ConfigError, FileFormatError
        As `load_named`.
    """
    return "+".join(_sha256(*_version(path)) for path in candidate_models(name))


def _load(path: Path, device: str) -> Model:
    return _load_version(*_version(path), device)


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: path, time of change, size."""
    try:
        status = path.stat()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    return path.resolve(), status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _load_version(path: Path, changed_ns: int, size: int, device: str) -> Model:
    from kascade.recon.model_files import load_any, task_of

    trained = load_any(path)
    name = path.parent.name if path.name == BEST else path.stem
    config = trained.config.model_dump(mode="json")
    network = _channels_last(trained.model.to(device))
    return Model(name, path, network, task_of(trained), config, trained.card, _sha256(path, changed_ns, size))


def _channels_last(network: nn.Module) -> nn.Module:
    """The layout of convolution weights that torch computes fastest with: a sixth quicker for a ResUNet on a CPU."""
    import torch

    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
