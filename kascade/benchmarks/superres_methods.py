"""What the super-resolution benchmark compares: interpolation, networks small enough for a CPU, and ablations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kascade.benchmarks.planning import shipped_recipe
from kascade.errors import ConfigError
from kascade.train.recipe import with_training
from kascade.train.superres.recipe import SuperResolutionRecipe
from kascade.train.tasks import load_task

__all__ = ["ABLATION", "CUBIC", "METHODS", "PEERS", "SuperResMethod", "base_recipe", "check_files", "method_recipe"]

CUBIC = "cubic"
"""The method without a network, which all are compared with."""


@dataclass(frozen=True)
class SuperResMethod:
    """A network and what its recipe says that others do not.

    Attributes
    ----------
    name : str
        In tables.
    kind : str
        As in `SuperResConfig`; empty for interpolation.
    options : dict
        Of the network; of "transmrsr" those that differ from the recipe's. The generator of "gfpgan" is the recipe's.
    prior : dict
        Keys of the recipe's section `prior` that differ; for "transmrsr" only.
    """

    name: str
    kind: str = "transmrsr"
    options: dict[str, Any] = field(default_factory=dict)
    prior: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the folder of its trainings, without the seed."""
        return self.name.lower().replace(" ", "-")


# A step of each network takes about as long as one of the TransMRSR of recipes/transmrsr.yaml: on one core 0.4 to 0.6 s
# for two images of 128 x 128 on bands. With as many parameters as it has, which lie at low resolutions, none would be
# affordable.
METHODS = (
    SuperResMethod(CUBIC, ""),
    SuperResMethod("EDSR", "edsr", {"width": 56, "blocks": 8}),
    SuperResMethod("SwinIR", "swinir", {"width": 32, "groups": 2, "depth": 2}),
    SuperResMethod("Restormer", "restormer", {"width": 16, "blocks": [1, 2, 2, 4], "refinement": 1}),
    SuperResMethod("MINet", "minet", {"width": 36, "stages": 4, "blocks": 3, "reduction": 8}),
    SuperResMethod("GFP-GAN", "gfpgan"),
    SuperResMethod("TransMRSR"),
    SuperResMethod("no prior", prior={"file": None, "freeze": False}),
    SuperResMethod("no truncation", options={"truncation": False}),
    SuperResMethod("no multi-resolution features", options={"encoder_features": False}),
    SuperResMethod("no skip", options={"skip": False}),
    SuperResMethod("frozen prior", prior={"freeze": True}),
)
PEERS = (CUBIC, "EDSR", "SwinIR", "Restormer", "MINet", "GFP-GAN", "TransMRSR")
"""Rows of the paper's Tables 1 and 2."""

ABLATION = ("TransMRSR", *(method.name for method in METHODS if method.name not in PEERS))
"""Rows of the paper's Tables 3 to 5."""


def base_recipe(
    recipe: Path | None = None, factor: int | None = None, steps: int | None = None
) -> SuperResolutionRecipe:
    """Recipe that all networks share: that of TransMRSR.

    None stops early, so that all are compared after the same number of steps.

    Parameters
    ----------
    recipe : Path, optional
        Instead of recipes/transmrsr.yaml.
    factor, steps : int, optional
        Instead of the recipe's.

    Raises
    ------
    ConfigError
        If the recipe is wrong or for something else.
    FileFormatError
        If it cannot be read.
    """
    place = shipped_recipe("transmrsr") if recipe is None else recipe
    found, _ = load_task(place)
    if not isinstance(found, SuperResolutionRecipe) or found.model.kind != "transmrsr":
        raise ConfigError(f"{place}: expected a recipe of super-resolution with the model transmrsr")
    found = with_training(found, steps=steps)
    content = found.model_dump(mode="json")
    content["training"]["early_stop"] = None
    if factor is not None:
        content["data"]["factor"] = factor
    return _validated(content, str(place))


def method_recipe(base: SuperResolutionRecipe, method: SuperResMethod, seed: int) -> SuperResolutionRecipe:
    """Recipe of one training: examples, their order, losses, steps and batch are the same whatever the network.

    Parameters
    ----------
    base : SuperResolutionRecipe
        Of `base_recipe`.
    method : SuperResMethod
        One with a network.
    seed : int
        Of the training.

    Raises
    ------
    ConfigError
        If the base has nothing of what the method changes.
    """
    content = base.model_dump(mode="json")
    options = dict(method.options)
    if method.kind == "transmrsr":
        if method.prior and base.prior.file is None:
            raise ConfigError(
                f"the recipe names no prior.file, so {method.name!r} says nothing; choose others with --method"
            )
        options = {**base.model.options, **options}
        content["prior"] |= method.prior
    elif method.kind == "gfpgan":
        options = {name: base.model.options[name] for name in _OF_GENERATOR if name in base.model.options} | options
    else:
        content.pop("prior")
    bands = base.model.bands
    if method.kind == "swinir":
        options["size"] = base.data.size // (2 if bands else 1)
    model = {"kind": method.kind, "options": options, "bands": bands}
    content |= {"name": f"{method.folder}-{seed}", "model": model}
    content["training"]["seed"] = seed
    return _validated(content, method.name)


_OF_GENERATOR = ("size", "width", "max_width", "latent")


def check_files(recipes: Sequence[SuperResolutionRecipe]) -> None:
    """Find out whether the generator and the feature network of all recipes are there.

    Raises
    ------
    ConfigError
        If a file is missing; it says what to train first.
    """
    for recipe in recipes:
        prior, features = recipe.prior.file, recipe.loss.features
        if features is not None and not Path(features.file).is_file():
            first = "kascade train recipes/cag-classifier.yaml" if features.network == "classifier" else "get VGG19"
            raise ConfigError(
                f"loss.features: {features.file} is not there; first {first}, or set content and style to 0 in a "
                "--recipe of your own"
            )
        if prior is not None and not Path(prior).is_file():
            raise ConfigError(
                f"prior.file: {prior} is not there; first kascade train recipes/styleswin-pretrain.yaml and kascade "
                "latents, or leave out what needs it: --method EDSR --method 'no prior' ..."
            )


def _validated(content: dict[str, Any], name: str) -> SuperResolutionRecipe:
    try:
        return SuperResolutionRecipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{name}: {f'{where}: ' if where else ''}{first['msg']}") from error
