"""What the restoration benchmark compares: networks, small enough for a CPU, and the recipes that train them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kascade.benchmarks.planning import shipped_recipe
from kascade.errors import ConfigError
from kascade.train.recipe import with_training
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.tasks import load_task

__all__ = ["ABLATION", "CLASSIFIER", "METHODS", "PEERS", "RestoreMethod", "base_recipes", "method_recipe"]


@dataclass(frozen=True)
class RestoreMethod:
    """A network and how it learns.

    Attributes
    ----------
    name : str
        In tables.
    kind : str
        As in `RestorationConfig`.
    options : dict
        Of the network; those of "cag" and "restormer" are the recipe's.
    learning_rate : float, optional
        Instead of the recipe's: adversarial training is less patient.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    learning_rate: float | None = None

    @property
    def folder(self) -> str:
        """Name of the folder of its trainings, without the seed."""
        return self.name.lower().replace(" ", "").replace("+", "-").strip("-")


METHODS = (
    RestoreMethod("SRGAN", "srgan", {"width": 24, "blocks": 6}),
    RestoreMethod("pix2pix", "pix2pix", {"width": 32, "levels": 5}, 5e-4),
    RestoreMethod("HINet", "hinet", {"width": 16, "levels": 4}),
    RestoreMethod("ResViT", "resvit", {"width": 16, "blocks": 5, "tokens": 96, "layers": 3, "heads": 4}, 5e-4),
    RestoreMethod("Restormer", "restormer"),
    RestoreMethod("+ cyclic", "cag", {"explain": False}),
    RestoreMethod("+ cyclic + CAG", "cag"),
)
PEERS = ("SRGAN", "pix2pix", "HINet", "ResViT", "+ cyclic + CAG")
"""Rows of the paper's Tables 1 and 2."""

ABLATION = ("Restormer", "+ cyclic", "+ cyclic + CAG")
"""Rows of the paper's Table 3."""

CLASSIFIER = "classifier"


def base_recipes(
    recipe: Path | None, classifier: Path | None, steps: int | None = None
) -> tuple[RestorationRecipe, RestorationRecipe]:
    """Recipe that all networks share, that of the model "cag", and the classifier's.

    None stops early, so that all are compared after the same number of steps.

    Parameters
    ----------
    recipe, classifier : Path, optional
        Instead of recipes/cag-cyclic.yaml and recipes/cag-classifier.yaml.
    steps : int, optional
        Of each training of a network, instead of the recipe's; the classifier keeps its own.

    Raises
    ------
    ConfigError
        If a recipe is wrong or for something else.
    FileFormatError
        If it cannot be read.
    """
    found = []
    for path, name, kind in ((recipe, "cag-cyclic", "cag"), (classifier, "cag-classifier", "classifier")):
        place = shipped_recipe(name) if path is None else path
        loaded, _ = load_task(place)
        if not isinstance(loaded, RestorationRecipe) or loaded.model.kind != kind:
            raise ConfigError(f"{place}: expected a recipe of restoration with the model {kind}")
        found.append(loaded)
    for key in ("sources", "matrix", "slices"):
        if getattr(found[0].data, key) != getattr(found[1].data, key):
            raise ConfigError(f"the recipes of networks and classifier have other data.{key}; expected the same")
    networks, front = (_without_early_stop(each) for each in found)
    return with_training(networks, steps=steps), front


def method_recipe(base: RestorationRecipe, method: RestoreMethod, seed: int, classifier: Path) -> RestorationRecipe:
    """Recipe of one training: the examples, their order, steps and batch are the same whatever the network.

    Parameters
    ----------
    base : RestorationRecipe
        That of the model "cag".
    method : RestoreMethod
    seed : int
    classifier : Path
        Weights of the trained classifier, for those that start from it.
    """
    content = base.model_dump(mode="json")
    options = dict(content["model"]["options"])
    training = {**content["training"], "seed": seed}
    if method.learning_rate is not None:
        training["learning_rate"] = method.learning_rate
    if method.kind == "cag":
        options |= method.options
        training["start_from"] = str(classifier)
    else:
        content.pop("cycle")
        training["start_from"] = None
        if method.kind == "restormer":
            options = {name: value for name, value in options.items() if name not in _OF_CAG}
        else:
            content.pop("loss")
            options = dict(method.options)
    content |= {"name": f"{method.folder}-{seed}", "training": training}
    content["model"] = {"kind": method.kind, "options": options}
    return RestorationRecipe.model_validate(content)


def _without_early_stop(recipe: RestorationRecipe) -> RestorationRecipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"early_stop": None})})


_OF_CAG = ("explain", "drop", "times_input", "equal_layers")
