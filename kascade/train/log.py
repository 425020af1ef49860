"""The log of a training: metrics.csv, TensorBoard and curves."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.tensorboard import SummaryWriter

from kascade.data.atomic import atomic_output
from kascade.report.canvas import save_figure
from kascade.train.base import TrainingModule
from kascade.train.curves import training_curves
from kascade.train.folder import RunFolder

__all__ = ["RunLog", "read_metrics", "score_text"]

INTERVAL = 50
"""Steps between two lines of the log."""

ACRONYMS = ("ssim", "rmse", "auc")
Row = dict[str, float]
COLUMNS = ("step", "loss", "learning_rate", "seconds_per_step", "validation_loss")


def read_metrics(path: Any) -> list[Row]:
    """Lines of a metrics.csv; what a line does not say is not in it."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in line.items() if k and v} for line in csv.DictReader(file)]


class RunLog(Callback):
    """Writes the log; a resumed training continues it where the saved state was.

    Parameters
    ----------
    folder : RunFolder
        Where.
    told : callable
        Gets one line after each validation.
    """

    def __init__(self, folder: RunFolder, told: Callable[[str], None]) -> None:
        self.folder, self.told = folder, told
        self.rows: list[Row] = []
        self._writer: SummaryWriter | None = None
        self._losses: list[torch.Tensor] = []
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the log, without what came after the state that is resumed."""
        if not trainer.is_global_zero:
            return
        if trainer.global_step and self.folder.metrics.exists():
            self.rows = [row for row in read_metrics(self.folder.metrics) if row["step"] <= trainer.global_step]
        self._writer = SummaryWriter(str(self.folder.tensorboard), purge_step=trainer.global_step + 1)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._losses, self._since = [], time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss, and write a line now and then."""
        self._losses.append(outputs["loss"].detach())
        if (batch_idx + 1) % INTERVAL == 0 or trainer.is_last_batch:
            self._note(trainer, self._training(trainer))
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores of the validation, and draw the curves."""
        assert isinstance(pl_module, TrainingModule)
        scores, lambdas = pl_module.validation_scores, pl_module.lambdas
        row = {f"validation_{name}": value for name, value in scores.items()}
        row |= {f"lambda_{n}": value for n, value in enumerate(lambdas, start=1)}
        self._note(trainer, row)
        self._save(trainer)
        if trainer.is_global_zero:
            self._draw()
            self.told(_sentence(trainer.global_step, self.rows, scores, lambdas))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _save(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            with atomic_output(self.folder.metrics, force=True) as beside:
                _write(beside, self.rows)

    def _draw(self) -> None:
        save_figure(training_curves(self.rows), self.folder.curves, force=True)

    def _training(self, trainer: Trainer) -> Row:
        """Mean loss of all processes since the last line, rates and time."""
        loss = trainer.strategy.reduce(torch.stack(self._losses).mean(), reduce_op="mean")
        now = time.perf_counter()
        row = {"loss": float(loss), "seconds_per_step": (now - self._since) / len(self._losses)}
        for group in trainer.optimizers[0].param_groups:
            name = "learning_rate" if group["name"] == "networks" else f"learning_rate_{group['name']}"
            row[name] = group["lr"]
        self._losses, self._since = [], now
        return row

    def _note(self, trainer: Trainer, row: Row) -> None:
        step = trainer.global_step
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        self.rows[-1].update(finite)
        if self._writer is not None:
            for name, value in finite.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()


def _write(path: Any, rows: list[Row]) -> None:
    names = dict.fromkeys((*COLUMNS, *(name for row in rows for name in row)))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: int(value) if name == "step" else f"{value:.6g}" for name, value in row.items()})


def score_text(scores: Mapping[str, float]) -> str:
    """Scores other than the loss in one line, such as ``33.12 dB, SSIM 0.9412``."""
    parts = []
    for name, value in scores.items():
        if name == "psnr":
            parts.append(f"{value:.2f} dB")
        elif name != "loss":
            parts.append(f"{name.upper() if name in ACRONYMS else name} {value:.4f}")
    return ", ".join(parts)


def _sentence(step: int, rows: list[Row], scores: Mapping[str, float], lambdas: list[float]) -> str:
    latest = rows[-1]
    parts = [
        f"step {step}: loss {latest.get('loss', math.nan):.4f}",
        f"validation {scores['loss']:.4f}, {score_text(scores)}",
        f"{latest.get('seconds_per_step', math.nan):.2f} s a step",
    ]
    if lambdas:
        parts.append("lambda " + " ".join(f"{value:.2f}" for value in lambdas))
    return "; ".join(parts)
