"""Training recipes: one YAML file says everything that a training depends on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import nn

from kascade.errors import ConfigError, FileFormatError
from kascade.train.examples import DataConfig
from kascade.train.examples.config import Source
from kascade.train.yaml_lines import Source as Document
from kascade.train.yaml_lines import parse_yaml
from kascade.unroll.config import CascadeConfig, build_cascade

__all__ = [
    "BaseRecipe",
    "LossConfig",
    "Recipe",
    "TrainingConfig",
    "load_recipe",
    "parse_recipe",
    "read_text",
    "validated",
    "with_training",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LossConfig(_Strict):
    """Weights of the losses that are added, see `kascade.train.losses`; at least one is positive.

    `every_iteration` is the weight of the same loss averaged over the images of all priors, beside the loss of the
    final image: each network learns from its own output too. With `magnitude` all losses compare magnitudes: for
    cascades whose images have no phase, such as E2E-VarNet.
    """

    l1: float = Field(default=1.0, ge=0)
    log: float = Field(default=0.0, ge=0)
    mse: float = Field(default=0.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    every_iteration: float = Field(default=0.0, ge=0)
    magnitude: bool = False

    @model_validator(mode="after")
    def _any(self) -> LossConfig:
        if not self.l1 + self.log + self.mse + self.ssim > 0:
            raise ValueError("the weights of all losses are 0; expected at least one above 0")
        return self


class TrainingConfig(_Strict):
    """How the weights are found.

    Parameters
    ----------
    steps : int
        Steps of the optimizer (AdamW).
    batch : int
        Examples of one step, of all processes together.
    learning_rate, lambda_learning_rate : float
        Highest learning rates, of the networks and of the lambda schedule.
    weight_decay : float
        Of the networks; the schedule has none.
    warm_up : int
        Steps in which the learning rate rises to its highest, before it falls to 0 along a cosine.
    gradient_clip : float
        Largest norm of the gradient; 0: unlimited.
    ema : float
        Decay of the running average of weights that is validated and saved; 0: none.
    precision : {"float32", "bf16"}
        Of the networks; Fourier transforms and solves are float32 always.
    validate_every : int
        Steps between two validations; the state that a training resumes from is saved then, too.
    early_stop : int, optional
        Stop after this many validations without a higher PSNR.
    seed : int
        Decides the first weights and all examples.
    start_from : str, optional
        Weights file whose prior every iteration starts from (or each from its own, where it has as many): training one
        iteration first is quick. The file is looked up from where the training is started.
    workers : int
        Processes that prepare examples; 0: the training process itself.
    """

    steps: int = Field(gt=0)
    batch: int = Field(1, gt=0)
    learning_rate: float = Field(3e-4, gt=0)
    lambda_learning_rate: float = Field(1e-2, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warm_up: int = Field(100, ge=0)
    gradient_clip: float = Field(1.0, ge=0)
    ema: float = Field(0.999, ge=0, lt=1)
    precision: Literal["float32", "bf16"] = "float32"
    validate_every: int = Field(500, gt=0)
    early_stop: int | None = Field(None, gt=0)
    seed: int = Field(0, ge=0, lt=2**31)
    start_from: str | None = None
    workers: int = Field(0, ge=0)

    def gives_up(self, waited: int) -> bool:
        """Whether training ends early after `waited` validations without a higher PSNR."""
        return self.early_stop is not None and waited >= self.early_stop


class BaseRecipe(_Strict):
    """What every recipe says, whatever is trained.

    Parameters
    ----------
    name : str
        Name of the model and, unless another is asked for, of the run folder.
    description, licence : str
        What the model is for, and the licence of its weights; both are saved with them.
    training : TrainingConfig
        How it is trained.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    licence: str = ""
    training: TrainingConfig

    @property
    def sources(self) -> Sequence[Source]:
        """Where the data come from."""
        raise NotImplementedError

    def build(self) -> nn.Module:
        """Make what is trained, with fresh weights.

        Raises
        ------
        ConfigError
            If there is no such network, or it refuses its options.
        """
        raise NotImplementedError


class Recipe(BaseRecipe):
    """Everything that the training of a cascade depends on.

    Parameters
    ----------
    name, description, licence, training
        As in `BaseRecipe`.
    task : "reconstruction"
        What the model does; other tasks have other recipes.
    data : DataConfig
        What examples are made of.
    model : CascadeConfig
        The cascade.
    loss : LossConfig
        What is minimized.
    """

    task: Literal["reconstruction"] = "reconstruction"
    data: DataConfig
    model: CascadeConfig
    loss: LossConfig = Field(default_factory=LossConfig)

    @property
    def sources(self) -> Sequence[Source]:
        """Where the data come from."""
        return self.data.sources

    def build(self) -> nn.Module:
        """Make the cascade."""
        return build_cascade(self.model)

    @field_validator("model")
    @classmethod
    def _no_neighbors(cls, model: CascadeConfig) -> CascadeConfig:
        if model.prior.channels == "slices":
            raise ValueError(
                "prior.channels slices takes other examples of a batch for adjacent slices, but they are unrelated; "
                "expected complex or magnitude"
            )
        return model

    @model_validator(mode="after")
    def _comparable(self) -> Recipe:
        if self.model.kind == "varnet" and not self.loss.magnitude:
            raise ValueError("the images of varnet have no phase: set loss.magnitude to true")
        if self.model.kind != "unrolled-sense" and self.loss.every_iteration:
            raise ValueError("loss.every_iteration is for models of kind unrolled-sense: leave it out")
        return self


R = TypeVar("R", bound=BaseRecipe)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read the text of a recipe.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is not text.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}); expected a recipe in YAML") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: is not text; expected a recipe in YAML") from error


def load_recipe(path: str | os.PathLike[str]) -> tuple[Recipe, str]:
    """Read a recipe of a cascade and its text.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is not text.
    ConfigError
        If the recipe is wrong: names file, line, key and what is allowed.
    """
    text = read_text(path)
    return parse_recipe(text, str(path)), text


def parse_recipe(text: str, name: str = "recipe") -> Recipe:
    """Recipe of a cascade from YAML text; `name` is that of the file, for errors.

    Raises
    ------
    ConfigError
        As `load_recipe`.
    """
    return validated(parse_yaml(text, name), Recipe)


def validated(source: Document, kind: type[R]) -> R:
    """Recipe of a kind from a YAML document.

    Raises
    ------
    ConfigError
        As `load_recipe`.
    """
    try:
        recipe = kind.model_validate(source.content)
    except ValidationError as error:
        raise ConfigError(source.complaint(error, kind)) from error
    try:
        recipe.build()  # names of networks and their options are known only there
    except ConfigError as error:
        raise ConfigError(f"{source.place(('model',))}: {error}") from error
    return recipe


def with_training(recipe: R, **changes: int | None) -> R:
    """Recipe with other values in its `training` section, where they are not None.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        training = TrainingConfig.model_validate({**recipe.training.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"training.{first['loc'][0]} is {first['input']!r}: {first['msg']}") from error
    return recipe.model_copy(update={"training": training})
