"""The layout of Kascade's .safetensors files, whatever they hold: weights, and JSON with a checksum in the metadata."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kascade.data.atomic import atomic_output
from kascade.errors import ConfigError, FileFormatError

__all__ = ["FORMAT", "WeightsFile", "checksum", "fill", "fresh", "read_weights", "unique_tensors", "write_weights"]

FORMAT = 1
"""Version of the layout; a file of a later one is refused."""

_KEY, _CHECKSUM = "kascade", "kascade.sha256"


class WeightsFile(NamedTuple):
    """What stands in a file: where it is, the JSON ("format", "card", and what the network was built from), tensors."""

    path: Path
    content: dict[str, Any]
    tensors: dict[str, Tensor]


def write_weights(
    path: str | os.PathLike[str], model: nn.Module, content: Mapping[str, Any], card: Mapping[str, Any], force: bool
) -> None:
    """Write the weights of `model` with `content` and `card`, whole or not at all.

    Raises
    ------
    ConfigError
        If JSON cannot hold them.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in unique_tensors(model).items()}
    try:
        text = json.dumps({"format": FORMAT, **content, "card": dict(card)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: JSON cannot hold the model card: {error}; nothing written") from error
    with atomic_output(path, force) as beside:
        beside.write_bytes(save(tensors, {_KEY: text, _CHECKSUM: checksum(text, tensors)}))  # readable as umask says


def read_weights(path: str | os.PathLike[str]) -> WeightsFile:
    """Read a file that `write_weights` wrote.

    Raises
    ------
    FileFormatError
        If it is absent, damaged, of something else, or of a later version.
    """
    path = Path(path)
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
    text = metadata[_KEY]
    content = _parse(path, text)
    if metadata.get(_CHECKSUM) != checksum(text, tensors):
        raise FileFormatError(f"{path}: is damaged (its checksum is wrong); get it again")
    return WeightsFile(path, content, tensors)


def fresh(build: Callable[[], nn.Module]) -> nn.Module:
    """An untrained network on the CPU; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return build()


def fill(model: nn.Module, file: WeightsFile, kind: str) -> nn.Module:
    """Put the file's weights into `model`, which becomes ready to use (evaluation mode).

    Raises
    ------
    FileFormatError
        If they do not fit.
    """
    own = unique_tensors(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in file.tensors.items()}:
        raise FileFormatError(
            f"{file.path}: its weights do not fit the network {kind!r} as it is here; use the version that wrote it, "
            "or train again"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(file.tensors[name])
    return model.eval()


def unique_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state of a module, each tensor under the first of its names: shared networks have several."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())


def checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the metadata and of each tensor with its name: safetensors itself would not see a flipped bit."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
        version, card = content["format"], content["card"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: its metadata is damaged ({type(error).__name__}: {error})") from error
    if isinstance(version, int) and version > FORMAT:
        raise FileFormatError(
            f"{path}: was written by a newer Kascade (format {version}, this one reads up to {FORMAT}); "
            "pip install -U kascade"
        )
    if version != FORMAT or not isinstance(card, dict):
        raise FileFormatError(f"{path}: its metadata is damaged (format {version!r})")
    return content
