"""What a training keeps: best and last weights, the model card, and the state that it can be resumed from."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from kascade.data.atomic import atomic_output
from kascade.errors import OutputError
from kascade.train.base import TrainingModule
from kascade.train.batches import ExampleSource
from kascade.train.card import model_card, render
from kascade.train.folder import RunFolder
from kascade.train.pictures import ValidationImages
from kascade.train.recipe import BaseRecipe

__all__ = ["Keeper"]


class Keeper(Callback):
    """After each validation: weights, card, the state to resume from; stops where no better score has come for long.

    The state is written last: whatever a kill interrupts, the resumed training does again, with the same result.

    Attributes
    ----------
    best : dict
        Scores of the best validation, and "step".
    waited : int
        Validations since then.
    saved_step : int
        Step of the state that a resumed training would begin with.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: BaseRecipe,
        text: str,
        data: ExampleSource,
        pictures: ValidationImages,
        told: Callable[[str], None],
        start: dict[str, Any] | None,
    ) -> None:
        self.folder, self.recipe, self.text, self.data = folder, recipe, text, data
        self.pictures, self.told = pictures, told
        self.start = start
        self.best: dict[str, float] = {}
        self.waited = 0
        self.seconds = 0.0
        self._since = time.perf_counter()
        self.saved_step = 0

    def state_dict(self) -> dict[str, Any]:
        """Part of the saved state."""
        return {"best": self.best, "waited": self.waited, "seconds": self.seconds, "start": self.start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.best, self.waited, self.seconds = state_dict["best"], state_dict["waited"], state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since, self.saved_step = time.perf_counter(), trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep everything."""
        assert isinstance(pl_module, TrainingModule)
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        scores = pl_module.validation_scores
        name = pl_module.criterion
        better = not self.best or scores[name] > self.best[name]
        if better:
            value = scores[name] if math.isfinite(scores[name]) else -math.inf
            self.best = {**scores, name: value, "step": trainer.global_step}
        self.waited = 0 if better else self.waited + 1
        if trainer.is_global_zero:
            self._write(trainer.global_step, pl_module, better)
        self._checkpoint(trainer)
        if pl_module.config.gives_up(self.waited):
            trainer.should_stop = True
            if trainer.is_global_zero:
                self.told(
                    f"no better {name.upper()} for {self.waited} validations: stopped at step {trainer.global_step}"
                )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Tell an interrupted user what is left."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            self.told(f"interrupted; --resume continues from step {self.saved_step}, the last that was saved")

    def _write(self, step: int, training: TrainingModule, better: bool) -> None:
        model, scores = training.best_known, training.validation_scores
        card = model_card(self.recipe, self.text, self.data, model, step, self.seconds, scores, self.start)
        if better:
            training.save(self.folder.best, card)
            with atomic_output(self.folder.card, force=True) as beside:
                beside.write_text(render(card), encoding="utf-8")
            self.pictures.keep()
        training.save(self.folder.last, card)

    def _checkpoint(self, trainer: Trainer) -> None:
        """Write the state whole or not at all; every process has to take part."""
        path = self.folder.checkpoint
        beside = path.with_name(f".{path.name}.part")
        try:
            trainer.save_checkpoint(beside)
            if trainer.is_global_zero:
                os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise OutputError(
                f"{path}: cannot be written ({error.strerror or error}); --resume continues from step {self.saved_step}"
            ) from error
        self.saved_step = trainer.global_step
