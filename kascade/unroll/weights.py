"""Trained cascades as one .safetensors file each: weights, with configuration and model card in the metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import nn

from kascade.errors import ConfigError, FileFormatError
from kascade.unroll.config import CascadeConfig, build_cascade
from kascade.unroll.weights_file import WeightsFile, fill, fresh, read_weights, unique_tensors, write_weights

__all__ = ["TrainedModel", "load_model", "model_of", "save_model"]


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
    expected = unique_tensors(fresh(lambda: build_cascade(config)))
    if {n: t.shape for n, t in unique_tensors(model).items()} != {n: t.shape for n, t in expected.items()}:
        raise ConfigError(f"{path}: the model is not what its configuration describes ({config.kind}); nothing written")
    write_weights(path, model, {"config": config.model_dump(mode="json")}, card, force)


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
    return model_of(read_weights(path))


def model_of(file: WeightsFile) -> TrainedModel:
    """The cascade of a file that has been read; raises as `load_model`."""
    path, content, _ = file
    try:
        config = CascadeConfig.model_validate(content["config"])
        model = fresh(lambda: build_cascade(config))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "config"
        raise FileFormatError(f"{path}: its configuration is not understood here ({where}: {first['msg']})") from error
    except KeyError as error:
        raise FileFormatError(f"{path}: a model of another task; expected a cascade") from error
    except ConfigError as error:
        raise FileFormatError(f"{path}: cannot be built here: {error}") from error
    return TrainedModel(fill(model, file, config.prior.name), config, content["card"])
