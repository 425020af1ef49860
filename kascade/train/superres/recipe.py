"""Recipes of super-resolution: fine volumes, thick slices made of them, a network, and how it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from kascade.nets.build import check_size
from kascade.recon.superres.weights import SuperResConfig, build_superres
from kascade.train.examples.config import NiftiSource
from kascade.train.recipe import BaseRecipe
from kascade.train.superres.features import FeatureConfig

__all__ = [
    "GenerationLoss",
    "GenerationRecipe",
    "PriorConfig",
    "SliceData",
    "SuperResolutionLoss",
    "SuperResolutionRecipe",
    "ThickData",
]

GENERATIVE = ("transmrsr", "gfpgan")
"""Networks with a decoder that is a generator."""

Side = Annotated[int, Field(ge=16, multiple_of=8)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SliceData(_Strict):
    """Slices of volumes, of all three planes, for a generator.

    Attributes
    ----------
    sources : tuple of NiftiSource
        Where volumes come from; their `orientations` are not heeded.
    size : int
        Rows and columns that slices are padded or cut to, about the middle of the head.
    validation_examples : int
        Real slices that generated ones are compared with.
    """

    sources: tuple[NiftiSource, ...] = Field(min_length=1)
    size: Side = 256
    validation_examples: int = Field(64, ge=2)


class ThickData(_Strict):
    """Interpolated thick slices beside the fine ones.

    Attributes
    ----------
    sources : tuple of NiftiSource
        Where volumes come from; their `orientations` are not heeded.
    factor : int
        Distance of slices, in voxels.
    axis : str
        Across the slices: "x", "y" or "z" of RAS+ volumes.
    profile : str
        "gaussian", "box" or "fermi".
    size : int
        Rows and columns that images are cut or padded to.
    augment : bool
        Mirror images up and down, left and right, and transpose them, each with probability 1/2.
    validation_examples : int
        How many are drawn, once, for validation.
    """

    sources: tuple[NiftiSource, ...] = Field(min_length=1)
    factor: int = Field(4, ge=2)
    axis: Literal["x", "y", "z"] = "z"
    profile: Literal["gaussian", "box", "fermi"] = "gaussian"
    size: Side = 256
    augment: bool = True
    validation_examples: int = Field(48, ge=1)


class PriorConfig(_Strict):
    """The pretrained generator that TransMRSR's decoder, or GFP-GAN's generator, begins as.

    Attributes
    ----------
    file : str, optional
        Weights of the generator, with centers (`kascade latents`). None: a decoder that has seen nothing.
    freeze : bool
        Keep the decoder as it is.
    """

    file: str | None = None
    freeze: bool = False


class SuperResolutionLoss(_Strict):
    """Weights of the losses; `features` names the network of content and style loss.

    Attributes
    ----------
    l1, content, style : float
        Of the absolute error, and of the losses on features (the paper's code: 1, 0.5, 0.5).
    features : FeatureConfig, optional
        Needed where `content` or `style` is above 0.
    """

    l1: float = Field(default=1.0, ge=0)
    content: float = Field(default=0.0, ge=0)
    style: float = Field(default=0.0, ge=0)
    features: FeatureConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SuperResolutionLoss:
        on_features = self.content + self.style > 0
        if not self.l1 and not on_features:
            raise ValueError("the weights of all losses are 0; expected at least one above 0")
        if on_features and self.features is None:
            raise ValueError("content and style compare features: name the network in loss.features, or set both to 0")
        if self.features is not None and not on_features:
            raise ValueError("loss.features is for the losses content and style: leave it out, or weigh one of them")
        return self


class GenerationLoss(_Strict):
    """How generator and discriminator play.

    Attributes
    ----------
    r1 : float
        Weight gamma of the penalty gamma / 2 |gradient|^2 on real images.
    r1_every : int
        Steps between two penalties, each of which counts as many times.
    consistency : float
        Weight of balanced consistency regularization, for real and for generated images.
    discriminator_rate : float
        Learning rate of the discriminator, relative to `training.learning_rate`.
    """

    r1: float = Field(default=10.0, ge=0)
    r1_every: int = Field(default=16, ge=1)
    consistency: float = Field(default=10.0, ge=0)
    discriminator_rate: float = Field(default=4.0, gt=0)


class SuperResolutionRecipe(BaseRecipe):
    """Everything that the training of a super-resolution network depends on.

    Parameters
    ----------
    name, description, licence, training
        As in `BaseRecipe`.
    task : "super-resolution"
    data : ThickData
        What examples are made of.
    model : SuperResConfig
        The network.
    prior : PriorConfig
        For "transmrsr" and "gfpgan".
    loss : SuperResolutionLoss
        What is minimized.
    """

    task: Literal["super-resolution"]
    data: ThickData
    model: SuperResConfig
    prior: PriorConfig = Field(default_factory=PriorConfig)
    loss: SuperResolutionLoss = Field(default_factory=SuperResolutionLoss)

    @model_validator(mode="after")
    def _consistent(self) -> SuperResolutionRecipe:
        kind = self.model.kind
        if kind == "styleswin":
            raise ValueError("styleswin generates images: its task is generation")
        if kind not in GENERATIVE and self.prior != PriorConfig():
            raise ValueError(f"the section prior is for transmrsr and gfpgan, not for {kind}: leave it out")
        if self.prior.freeze and self.prior.file is None:
            raise ValueError("prior.freeze keeps a pretrained decoder: name its file in prior.file")
        # Sizes of networks that have one only, where the options do not say.
        only = {"transmrsr": 256, "gfpgan": 256, "swinir": 64}
        if kind not in only:
            check_size(self.build, kind, "data.size", (self.data.size, self.data.size))
        else:
            size, why = self.model.options.get("size", only[kind]), ""
            if self.model.bands:
                size, why = 2 * size, ", twice its own with bands"
            if size != self.data.size:
                raise ValueError(f"data.size is {self.data.size}; this {kind} takes one size only{why}: {size}")
        _refuse_unused(self)
        return self

    @property
    def sources(self) -> Sequence[NiftiSource]:
        """Where the volumes come from."""
        return self.data.sources

    def build(self) -> nn.Module:
        """Make the network."""
        return build_superres(self.model)


class GenerationRecipe(BaseRecipe):
    """Everything that the training of a generator depends on.

    Parameters
    ----------
    name, description, licence, training
        As in `BaseRecipe`.
    task : "generation"
    data : SliceData
        The real images.
    model : SuperResConfig
        The generator.
    discriminator : dict
        Arguments of `WaveletDiscriminator`, without size and channels.
    loss : GenerationLoss
        The game.
    """

    task: Literal["generation"]
    data: SliceData
    model: SuperResConfig
    discriminator: dict[str, int | bool] = Field(default_factory=dict)
    loss: GenerationLoss = Field(default_factory=GenerationLoss)

    @model_validator(mode="after")
    def _consistent(self) -> GenerationRecipe:
        if self.model.kind != "styleswin":
            raise ValueError(f"model.kind {self.model.kind} generates nothing; expected styleswin")
        if self.model.options.get("size", 256) != self.data.size:
            raise ValueError(f"data.size {self.data.size} is not the generator's size")
        _refuse_unused(self)
        return self

    @property
    def sources(self) -> Sequence[NiftiSource]:
        """Where the volumes come from."""
        return self.data.sources

    def build(self) -> nn.Module:
        """Make the generator."""
        return build_superres(self.model)


def _refuse_unused(recipe: BaseRecipe) -> None:
    if recipe.training.start_from is not None:
        raise ValueError("training.start_from is for other tasks: leave it out (TransMRSR's generator is prior.file)")
    if recipe.training.precision != "float32":
        raise ValueError("training.precision bf16 is for cascades: leave it out")
