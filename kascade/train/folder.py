"""The run folder: where everything that a training leaves behind lies, and who may write there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kascade.data.atomic import atomic_output
from kascade.errors import ConfigError, FileFormatError, OutputError
from kascade.recon.outputs import make_folder
from kascade.train.recipe import BaseRecipe

__all__ = ["MAY_CHANGE", "RunFolder"]

MAY_CHANGE = ("steps", "early_stop", "workers")
"""Keys of the section `training` that a resumed training may see with other values."""


LABELS = ("name", "description", "licence")
"""Keys that say what a model is called, not how it is trained."""


@dataclass(frozen=True)
class RunFolder:
    """Paths within the folder of one training."""

    path: Path

    @property
    def recipe_text(self) -> Path:
        """The recipe as it was given."""
        return self.path / "recipe.yaml"

    @property
    def recipe(self) -> Path:
        """The recipe with all defaults."""
        return self.path / "recipe.json"

    @property
    def environment(self) -> Path:
        """Versions, machine, seed."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """The log."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """The log as figure."""
        return self.path / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """The log for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def images(self) -> Path:
        """Validation images, latest and best."""
        return self.path / "images"

    @property
    def best(self) -> Path:
        """Weights of the highest validation PSNR."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights of the latest validation."""
        return self.path / "last.safetensors"

    @property
    def card(self) -> Path:
        """Model card of the best weights."""
        return self.path / "model-card.md"

    @property
    def checkpoint(self) -> Path:
        """State of the training at the latest validation."""
        return self.path / "last.ckpt"

    def check(self, recipe: BaseRecipe, resume: bool, force: bool, may_change: Sequence[str] = MAY_CHANGE) -> None:
        """Refuse to train here where that would spoil something; changes nothing.

        A training to resume may have had other values of the keys `may_change` of its section `training`.

        Raises
        ------
        OutputError
            If there is another training, and neither `resume` nor `force`, or the folder holds something else.
        ConfigError
            If the training to resume had another recipe.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file; name another folder by -o")
        if not self.recipe.exists():
            half_written = f".{self.recipe.name}.*.part"  # by a training that was killed before it began
            if not all(path.match(half_written) for path in self.path.iterdir()):
                raise OutputError(f"{self.path}: holds something else than a training; name another folder by -o")
            return
        if resume:
            self._check_same(recipe, may_change)
        elif not force:
            raise OutputError(
                f"{self.path}: a training is there already; --resume continues it, --force replaces it, -o names "
                "another folder"
            )

    def prepare(self, recipe: BaseRecipe, text: str, environment: dict[str, Any], resume: bool) -> None:
        """Make the folder, without what an earlier training left there unless that is resumed, and note the recipe.

        The recipe, which tells the folder of a training from others, is the first file there: killed at any moment,
        this can be done again.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        make_folder(self.path)
        if not resume:
            self._clear()
        for path, content in (
            (self.recipe, json.dumps(recipe.model_dump(mode="json"), indent=2) + "\n"),
            (self.recipe_text, text),
            (self.environment, json.dumps(environment, indent=2) + "\n"),
        ):
            with atomic_output(path, force=True) as beside:
                beside.write_text(content, encoding="utf-8")
        make_folder(self.images)

    def _clear(self) -> None:
        try:
            for folder in (self.images, self.tensorboard):
                if folder.exists():
                    shutil.rmtree(folder)
            files = (self.checkpoint, self.best, self.last, self.card, self.metrics, self.curves)
            for file in (*files, *self.path.glob(".*.part")):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: the old training cannot be removed ({error.strerror})") from error

    def _check_same(self, recipe: BaseRecipe, may_change: Sequence[str]) -> None:
        try:
            before = json.loads(self.recipe.read_text(encoding="utf-8"))
            known = type(recipe).model_validate(
                before
            )  # one of an earlier version gets the defaults of keys that are new
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FileFormatError(f"{self.recipe}: cannot be read ({reason}); --force starts again") from error
        old, new = (_decisive(r.model_dump(mode="json"), may_change) for r in (known, recipe))
        changed = _first_difference(old, new)
        if changed:
            raise ConfigError(
                f"{self.path}: this training had another recipe ({changed} differs); of training only "
                f"{', '.join(may_change)} may change: give the old recipe, --force to start again, or another -o"
            )


def _decisive(recipe: dict[str, Any], may_change: Sequence[str]) -> dict[str, Any]:
    """The part of a recipe that a training cannot change on its way."""
    training = {key: value for key, value in recipe["training"].items() if key not in may_change}
    return {**{key: value for key, value in recipe.items() if key not in LABELS}, "training": training}


def _first_difference(old: Any, new: Any, key: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            inner = f"{key}.{name}" if key else name
            found = _first_difference(old[name], new[name], inner) if name in old and name in new else inner
            if found:
                return found
        return ""
    return "" if old == new else key
