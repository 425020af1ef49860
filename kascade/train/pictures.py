"""Validation images: what a model makes of a few examples, before the scores are believed."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from kascade.report.figures import comparison, save_figure
from kascade.train.batches import stack
from kascade.train.folder import RunFolder
from kascade.train.module import CascadeTraining

__all__ = ["ValidationImages"]

EXAMPLES = 4

Image = NDArray[np.floating[Any]]


class ValidationImages(Callback):
    """Draws zero-filled image, reconstruction and target of some examples into ``images/latest_N.png``.

    Those of the best validation are kept as ``images/best_N.png``.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._drawn: list[tuple[int, Image, Image, Image]] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the images of the last validation."""
        self._drawn = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep some images, evenly spread over the examples of the first process."""
        count = int(sum(trainer.num_val_batches))
        chosen = {round(n * (count - 1) / max(EXAMPLES - 1, 1)) for n in range(EXAMPLES)}
        if not trainer.is_global_zero or batch_idx not in chosen:
            return
        (problem,) = stack(batch)
        images = (problem.E.H(problem.y), outputs[0].image, problem.target)
        zero_filled, image, target = (torch.abs(x[0]).cpu().numpy() for x in images)
        if target.max() > 0:
            self._drawn.append((batch_idx, zero_filled, image, target))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the figures."""
        assert isinstance(pl_module, CascadeTraining)
        for index, zero_filled, image, target in self._drawn:
            figure = comparison(
                {"Zero-filled": zero_filled, "Reconstruction": image},
                target,
                reference_name="Target",
                title=f"{pl_module.recipe.name}, step {trainer.global_step}",
            )
            save_figure(figure, self.folder.images / f"latest_{index}.png", force=True)

    def keep(self) -> None:
        """Make the latest images the best ones."""
        for index, *_ in self._drawn:
            shutil.copyfile(self.folder.images / f"latest_{index}.png", self.folder.images / f"best_{index}.png")
