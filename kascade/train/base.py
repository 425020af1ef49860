"""What the training of anything has in common, as Lightning sees it: steps, optimizer, running average of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kascade.errors import KascadeError
from kascade.train.recipe import BaseRecipe

__all__ = ["TrainingModule", "gathered", "learning_rate_factor", "mean"]

Images = tuple[Tensor, Tensor, Tensor]


class TrainingModule(LightningModule):
    """A model in training; what is trained, its loss and its scores are those of a subclass.

    Attributes
    ----------
    criterion : str
        The score by which the best weights are chosen, higher being better.
    model : nn.Module
        What the optimizer changes.
    average : AveragedModel or None
        Running average of its weights, which is validated and saved instead.
    validation_scores : dict
        "loss" and other means over the validation examples, after each validation.
    lambdas : list of float
        Mean lambda of each solve over the validation examples; empty where there are none.

    Parameters
    ----------
    recipe : BaseRecipe
        What to train, and how.
    model : nn.Module
        With its first weights.
    """

    criterion = "psnr"
    betas = (0.9, 0.999)

    def __init__(self, recipe: BaseRecipe, model: nn.Module) -> None:
        super().__init__()
        self.config = recipe.training
        self.model = model
        self.average = _average(model, self.config.ema) if self.config.ema else None
        self.validation_scores: dict[str, float] = {}
        self.lambdas: list[float] = []
        self._seen: list[Any] = []

    @property
    def best_known(self) -> nn.Module:
        """The model to validate and to save."""
        return self.model if self.average is None else self.average.module

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write `best_known` with its card."""
        raise NotImplementedError

    def picture(self, batch: Any, outputs: Any) -> Images | None:
        """Input, output and target, (rows, columns), of a validation step; None where there is nothing to see."""
        return None

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Let everything random in a step, such as dropout, follow from seed, step and process."""
        torch.manual_seed(self.config.seed + 1_000_003 * (self.global_step + 1) + 7_919 * self.global_rank)

    def logged(self, loss: Tensor) -> Tensor:
        """The loss of a step, once it is known to be finite, shown beside the progress bar."""
        if not bool(loss.isfinite()):
            raise self._diverged("the loss")
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limit the norm of the whole gradient."""
        limit = self.config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        if not bool(norm.isfinite()):
            raise self._diverged("the gradient")

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the running average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._seen = []

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters with a "name" and, where it is not that of the networks, a learning rate "lr"."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad], "name": "networks"}]

    def configure_optimizers(self) -> Any:
        """AdamW, its learning rate following `learning_rate_factor`."""
        config = self.config
        groups = [{"lr": config.learning_rate, **group} for group in self.parameter_groups() if group["params"]]
        optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=self.betas, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, config.warm_up, config.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _diverged(self, what: str) -> KascadeError:
        return KascadeError(
            f"step {self.global_step + 1}: {what} is not finite; lower training.learning_rate (now "
            f"{self.config.learning_rate:g}) or training.gradient_clip (now {self.config.gradient_clip:g}) and start "
            "again; what was validated before is still in the run folder"
        )


def learning_rate_factor(step: int, warm_up: int, steps: int) -> float:
    """Part of the highest learning rate at `step`: a linear rise in `warm_up` steps, then a cosine down to 0."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(steps - warm_up, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights; it begins as a mean, so that the first weights are soon forgotten."""

    @torch.no_grad()
    def update(averages: Any, currents: Any, count: Any) -> None:
        seen = int(count)
        torch._foreach_lerp_(averages, currents, 1 - min(decay, (1 + seen) / (10 + seen)))

    average = AveragedModel(model, multi_avg_fn=update)
    average.requires_grad_(False)
    return average


def gathered(seen: list[Any]) -> list[Any]:
    """Entries of all processes."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return seen
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, seen)
    return [entry for part in parts for entry in part]


def mean(values: Sequence[float]) -> float:
    """Mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan
