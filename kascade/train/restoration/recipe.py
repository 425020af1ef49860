"""Recipes of restoration: degraded slices of volumes, a network, and how it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import nn

from kascade.data.degradation import parse_sources
from kascade.errors import ConfigError
from kascade.nets.build import check_size
from kascade.recon.restoration import RestorationConfig, build_network
from kascade.train.examples.config import NiftiSource
from kascade.train.recipe import BaseRecipe

__all__ = ["CycleConfig", "DegradedData", "RestorationRecipe"]

Weight = Annotated[float, Field(gt=0)]
Severity = Literal["mild", "moderate", "severe"]
Size = tuple[Annotated[int, Field(ge=32, multiple_of=8)], Annotated[int, Field(ge=32, multiple_of=8)]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DegradedData(_Strict):
    """Degraded and clean slices of NIfTI volumes, each between its neighbors.

    Attributes
    ----------
    sources : tuple of NiftiSource
        Where volumes come from.
    mixtures : dict
        Share of each mixture of degradations, such as "motion+noise", and of "clean".
    severities : tuple of str
        Of each example one, all alike.
    matrix : (int, int)
        Rows and columns that slices are cut or padded to, about the head's middle, before they are degraded.
    slices : int
        How many of each volume, about the head's middle.
    patch : (int, int), optional
        What is cut out of degraded slices, at random places of the head, to train and validate on; without it whole
        slices.
    validation_examples : int
        How many are drawn, once, for validation.
    """

    sources: tuple[NiftiSource, ...] = Field(min_length=1)
    mixtures: dict[str, Weight] = Field(
        default={
            name: 1.0
            for name in ("clean", "motion", "low-resolution", "noise", "motion+low-resolution", "motion+noise")
        },
        min_length=1,
    )
    severities: tuple[Severity, ...] = Field(("mild", "moderate", "severe"), min_length=1)
    matrix: Size = (224, 192)
    slices: int = Field(90, ge=1)
    patch: Size | None = None
    validation_examples: int = Field(48, ge=1)

    @field_validator("mixtures")
    @classmethod
    def _known(cls, mixtures: dict[str, float]) -> dict[str, float]:
        for name in mixtures:
            try:
                parse_sources(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return mixtures

    @model_validator(mode="after")
    def _fits(self) -> DegradedData:
        if self.patch is not None and any(p > m for p, m in zip(self.patch, self.matrix, strict=True)):
            raise ValueError(f"patch {self.patch} is larger than matrix {self.matrix}")
        if any(len(source.orientations) > 1 for source in self.sources):
            raise ValueError("restoration sees slices of one orientation: name one in sources.orientations")
        if any(source.skull_stripped for source in self.sources):
            raise ValueError("skull_stripped draws a scalp, which restoration does not: leave it out")
        return self


class CycleConfig(_Strict):
    """What "cag" learns by beside the pixels.

    Attributes
    ----------
    semantic : float
        Weight of the loss that has the classifier take the output for a clean image.
    momentum : float
        Of the classifier's encoder, which follows that of the Restormer after each step.
    refit_below : float
        AUC of the classifier on validation examples below which its last layer is fitted anew; 0: never.
    """

    semantic: float = Field(default=0.01, ge=0)
    momentum: float = Field(default=0.99, ge=0, le=1)
    refit_below: float = Field(default=0.9, ge=0, le=1)


class RestorationRecipe(BaseRecipe):
    """Everything that the training of a restoration network, or of the classifier, depends on.

    Parameters
    ----------
    name, description, licence, training
        As in `BaseRecipe`. `training.start_from` is for "cag": the trained classifier.
    task : "restoration"
        Tells it from the recipes of cascades.
    data : DegradedData
        What examples are made of.
    model : RestorationConfig
        The network.
    loss : str
        Of Restormer and CAG: "l1", the mean absolute error, as in their papers, or "relative", the squared error of
        each example relative to that of its degraded image, which weighs mild degradations like severe ones.
    cycle : CycleConfig
        For "cag" only.
    """

    task: Literal["restoration"]
    data: DegradedData
    model: RestorationConfig
    loss: Literal["l1", "relative"] = "l1"
    cycle: CycleConfig = Field(default_factory=CycleConfig)

    @model_validator(mode="after")
    def _consistent(self) -> RestorationRecipe:
        kind, training = self.model.kind, self.training
        if kind != "cag" and self.cycle != CycleConfig():
            raise ValueError(f"the section cycle is for the model cag, not for {kind}: leave it out")
        if kind not in ("restormer", "cag") and self.loss != "l1":
            raise ValueError(f"the loss {self.loss} is for restormer and cag, {kind} has its own: leave it out")
        if kind == "cag" and training.ema:
            raise ValueError("cag has a running average of its own (cycle.momentum): set training.ema to 0")
        if kind == "cag" and training.start_from is None:
            raise ValueError("cag needs a trained classifier: name its file in training.start_from")
        if kind != "cag" and training.start_from is not None:
            raise ValueError(f"training.start_from is for the model cag, not for {kind}: leave it out")
        if training.precision != "float32":
            raise ValueError("training.precision bf16 is for cascades: leave it out")
        key, size = ("data.patch", self.data.patch) if self.data.patch else ("data.matrix", self.data.matrix)
        check_size(self.build, kind, key, size)
        return self

    @property
    def sources(self) -> Sequence[NiftiSource]:
        """Where the volumes come from."""
        return self.data.sources

    def build(self) -> nn.Module:
        """Make the network."""
        return build_network(self.model)
