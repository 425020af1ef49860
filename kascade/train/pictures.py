"""Validation images: what a model makes of a few examples, to be looked at before the scores are believed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from kascade.data.atomic import atomic_output
from kascade.report.canvas import upper_limit
from kascade.train.base import TrainingModule
from kascade.train.folder import RunFolder

__all__ = ["ValidationImages", "mosaic"]

EXAMPLES = 4
ERROR_SCALE = 5
GAP = 4  # px between images

Image = NDArray[np.floating[Any]]


class ValidationImages(Callback):
    """Draws some examples after each validation: ``images/latest.png``; that of the best one stays as ``best.png``.

    One row for each example: input (zero-filled), output, target, and the error of the output, 5 x brighter.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._rows: list[list[Image]] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the images of the last validation."""
        self._rows = []

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
        assert isinstance(pl_module, TrainingModule)
        images = pl_module.picture(batch, outputs)
        if images is not None:
            self._rows.append([torch.abs(image).cpu().numpy() for image in images])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the picture."""
        if self._rows:
            _write_png(self.folder.images / "latest.png", mosaic(self._rows))

    def keep(self) -> None:
        """Make the latest picture the best one."""
        if self._rows:
            with atomic_output(self.folder.images / "best.png", force=True) as beside:
                shutil.copyfile(self.folder.images / "latest.png", beside)


def mosaic(rows: Sequence[Sequence[Image]]) -> Image:
    """All images in one, between 0 and 1.

    Parameters
    ----------
    rows : sequence
        Zero-filled image, reconstruction and target of each example, (rows, columns); each example is windowed from 0
        to the 99.5th percentile of its target.
    """
    pictures = []
    for zero_filled, image, target in rows:
        limit = upper_limit(target)
        error = ERROR_SCALE * np.abs(image - target)
        pictures.append([np.clip(x / limit, 0, 1) for x in (zero_filled, image, target, error)])
    height, width = (max(row[0].shape[axis] for row in pictures) + GAP for axis in (0, 1))
    whole = np.zeros((height * len(pictures), width * len(pictures[0])))
    for down, row in enumerate(pictures):
        for across, picture in enumerate(row):
            top, left = down * height, across * width
            whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole[:-GAP, :-GAP]


def _write_png(path: Path, image: Image) -> None:
    from matplotlib.image import imsave

    with atomic_output(path, force=True) as beside:
        imsave(beside, image, cmap="gray", vmin=0, vmax=1, format="png")
