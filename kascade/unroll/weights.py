"""Trained cascades as one .safetensors file each: weights, with configuration and model card in the metadata."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kascade.data.atomic import atomic_output
from kascade.errors import ConfigError, FileFormatError
from kascade.unroll.config import CascadeConfig, build_cascade

__all__ = ["FORMAT", "TrainedModel", "load_model", "save_model"]

FORMAT = 1
"""Version of the layout; a file of a later one is refused."""

_KEY, _DIGEST = "kascade", "kascade.sha256"


class TrainedModel(NamedTuple):
    """A cascade in evaluation mode, what it was built from, and its model card (JSON types)."""

    model: nn.Module
    config: CascadeConfig
    card: dict[str, Any]


def save_model(
    path: str | os.PathLike[str],
    model: nn.Module,
    config: CascadeConfig,
    card: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Write weights, configuration and card to one file, whole or not at all.

    Parameters
    ----------
    path : path
        Where; by custom `*.safetensors`.
    model : nn.Module
        What `build_cascade(config)` built, trained, on any device.
    config : CascadeConfig
        Its configuration.
    card : mapping
        Model card: anything that JSON can hold.
    force : bool
        Replace an existing file.

    Raises
    ------
    ConfigError
        If JSON cannot hold the card, or `model` is not what `config` describes.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in _unique_tensors(model).items()}
    expected = _unique_tensors(_fresh(config))
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in expected.items()}:
        raise ConfigError(f"{path}: the model is not what its configuration describes ({config.kind}); nothing written")
    content = {"format": FORMAT, "config": config.model_dump(mode="json"), "card": dict(card)}
    try:
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: JSON cannot hold the model card: {error}; nothing written") from error
    with atomic_output(path, force) as beside:
        beside.write_bytes(save(tensors, {_KEY: text, _DIGEST: _digest(text, tensors)}))  # readable as umask says


def load_model(path: str | os.PathLike[str]) -> TrainedModel:
    """Read a file that `save_model` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    TrainedModel
        On the CPU, in evaluation mode.

    Raises
    ------
    FileFormatError
        If the file is absent, damaged, of something else, of a later version, or needs a prior that is not installed.
    MissingExtraError
        If it is a VarNet and the fastmri package is not installed.
    """
    path = Path(path)
    text, digest, tensors = _read(path)
    config, card = _parse(path, text)
    if digest != _digest(text, tensors):
        raise FileFormatError(f"{path}: is damaged (its checksum is wrong); get it again")
    try:
        model = _fresh(config)
    except ConfigError as error:
        raise FileFormatError(f"{path}: cannot be built here: {error}") from error
    own = _unique_tensors(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
        raise FileFormatError(
            f"{path}: its weights do not fit the network {config.prior.name!r} as it is here; "
            "use the version that wrote it, or train again"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
    return TrainedModel(model.eval(), config, card)


def _fresh(config: CascadeConfig) -> nn.Module:
    """Untrained cascade on the CPU; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return build_cascade(config)


def _unique_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state of a module, each tensor under the first of its names: shared priors have several."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the metadata and of each tensor with its name: safetensors itself would not see a flipped bit."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _read(path: Path) -> tuple[str, str, dict[str, Tensor]]:
    """Metadata, checksum and tensors as they stand in the file."""
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file; expected a .safetensors file of Kascade")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise FileFormatError(
                    f"{path}: a safetensors file, but not a model of Kascade (its metadata has no {_KEY!r})"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path}: not a .safetensors file, or a damaged one ({reason})") from error
    return metadata[_KEY], metadata.get(_DIGEST, ""), tensors


def _parse(path: Path, text: str) -> tuple[CascadeConfig, dict[str, Any]]:
    """Configuration and card."""
    try:
        content = json.loads(text)
        version, card = content["format"], content["card"]
        if isinstance(version, int) and version > FORMAT:
            raise FileFormatError(
                f"{path}: was written by a newer Kascade (format {version}, this one reads up to {FORMAT}); "
                "pip install -U kascade"
            )
        if version != FORMAT or not isinstance(card, dict):
            raise FileFormatError(f"{path}: its metadata is damaged (format {version!r})")
        return CascadeConfig.model_validate(content["config"]), card
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "config"
        raise FileFormatError(f"{path}: its configuration is not understood here ({where}: {first['msg']})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: its metadata is damaged ({type(error).__name__}: {error})") from error
