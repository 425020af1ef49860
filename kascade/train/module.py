"""The training of a cascade as Lightning sees it: steps, optimizer, running average of weights, validation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kascade.errors import ConfigError, KascadeError
from kascade.physics import Encoding
from kascade.train.batches import stack
from kascade.train.examples import Example
from kascade.train.losses import image_loss
from kascade.train.precision import use_bfloat16
from kascade.train.recipe import Recipe
from kascade.train.scores import Score, score
from kascade.train.start import load_start
from kascade.unroll import CascadeOutput, LambdaSchedule
from kascade.unroll.config import build_cascade

__all__ = ["CascadeTraining", "copy_priors", "learning_rate_factor"]


class CascadeTraining(LightningModule):
    """A cascade in training.

    Attributes
    ----------
    model : nn.Module
        The cascade that the optimizer changes.
    average : AveragedModel or None
        Running average of its weights, which is validated and saved instead.
    validation_scores : dict
        "psnr", "ssim", "loss", means over the validation examples, after each validation.
    lambdas : list of float
        Mean lambda of each solve over the validation examples; empty for cascades that have none.

    Parameters
    ----------
    recipe : Recipe
        What to train, and how.
    restored : bool
        A saved state will be loaded: the file of `training.start_from` is not needed.
    """

    def __init__(self, recipe: Recipe, restored: bool = False) -> None:
        super().__init__()
        torch.manual_seed(recipe.training.seed)
        self.recipe, self.config = recipe, recipe.training
        self.model = build_cascade(recipe.model)
        if self.config.start_from is not None and not restored:
            copy_priors(load_start(self.config.start_from).model, self.model, self.config.start_from)
        if self.config.precision == "bf16":
            use_bfloat16(self.model)
        self.average = _average(self.model, self.config.ema) if self.config.ema else None
        self.validation_scores: dict[str, float] = {}
        self.lambdas: list[float] = []
        self._seen: list[tuple[int, float, Score | None, list[float]]] = []

    @property
    def best_known(self) -> nn.Module:
        """The cascade to validate and to save."""
        return self.model if self.average is None else self.average.module

    def forward(self, batch: Sequence[Example]) -> Iterator[tuple[CascadeOutput, Tensor]]:
        """Reconstruct with the best known weights; gives output and target for each group of equal shapes."""
        for problem in stack(batch):
            yield self.best_known(problem.E, problem.y, trace=True), problem.target

    def on_train_batch_start(self, batch: Sequence[Example], batch_idx: int) -> None:
        """Let everything random in a step, such as dropout, follow from seed, step and process."""
        torch.manual_seed(self.config.seed + 1_000_003 * (self.global_step + 1) + 7_919 * self.global_rank)

    def training_step(self, batch: Sequence[Example], batch_idx: int) -> Tensor:
        """Mean loss over the examples."""
        loss = torch.cat([self._loss(*problem) for problem in stack(batch)]).mean()
        if not bool(loss.isfinite()):
            raise self._diverged("the loss")
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def _loss(self, E: Encoding, y: Tensor, target: Tensor) -> Tensor:
        weights = self.recipe.loss
        if not weights.every_iteration:
            return image_loss(self.model(E, y).image, target, weights)
        output = self.model(E, y, trace=True)
        images = [image_loss(z, target, weights) for z in output.trace.z]
        return image_loss(output.image, target, weights) + weights.every_iteration * torch.stack(images).mean(0)

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

    def on_train_batch_end(self, outputs: Any, batch: Sequence[Example], batch_idx: int) -> None:
        """Update the running average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._seen = []

    def validation_step(  # type: ignore[override]  # callbacks get what it returns, whatever that is
        self, batch: Sequence[Example], batch_idx: int
    ) -> list[CascadeOutput]:
        """Score one example."""
        outputs = []
        for output, target in self(batch):
            loss = float(image_loss(output.image, target, self.recipe.loss).mean())
            found = score(output.image[0].cpu().numpy(), target[0].cpu().numpy())
            lam = [] if output.trace is None else [float(value.mean()) for value in output.trace.lam]
            self._seen.append((batch_idx * self.trainer.world_size + self.global_rank, loss, found, lam))
            outputs.append(output)
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Average over the examples of all processes, in their order, so that the sum does not depend on devices."""
        seen = sorted(_gathered(self._seen), key=lambda entry: entry[0])
        scores = [found for _, _, found, _ in seen if found is not None]
        self.validation_scores = {
            "loss": _mean([loss for _, loss, _, _ in seen]),
            "psnr": _mean([found.psnr for found in scores]),
            "ssim": _mean([found.ssim for found in scores]),
        }
        self.lambdas = [_mean(list(values)) for values in zip(*(lam for *_, lam in seen), strict=True)]

    def configure_optimizers(self) -> Any:
        """AdamW; lambdas have a learning rate of their own and no decay."""
        config = self.config
        schedules = [m for m in self.model.modules() if isinstance(m, LambdaSchedule)]
        lambdas = {id(p): p for schedule in schedules for p in schedule.parameters()}
        networks = [p for p in self.model.parameters() if p.requires_grad and id(p) not in lambdas]
        groups: list[dict[str, Any]] = [{"params": networks, "lr": config.learning_rate, "name": "networks"}]
        if lambdas:
            rate = config.lambda_learning_rate
            groups.append({"params": list(lambdas.values()), "lr": rate, "weight_decay": 0.0, "name": "lambdas"})
        groups = [group for group in groups if group["params"]]
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
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


def copy_priors(source: nn.Module, target: nn.Module, name: str) -> None:
    """Start the priors of a cascade from those of another: one for all, or each from its own.

    Raises
    ------
    ConfigError
        If their numbers or their networks do not fit.
    """
    theirs, ours = getattr(source, "priors", []), getattr(target, "priors", [])
    if not ours or len(theirs) not in (1, len(ours)):
        raise ConfigError(
            f"training.start_from: {name} has {len(theirs)} priors, the recipe's model {len(ours)}; expected one, or "
            "as many"
        )
    for index, prior in enumerate(ours):
        try:
            prior.load_state_dict(theirs[index % len(theirs)].state_dict())
        except RuntimeError as error:
            raise ConfigError(
                f"training.start_from: the prior network in {name} is not that of the recipe; use the same name and "
                "options"
            ) from error


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


def _gathered(seen: list[Any]) -> list[Any]:
    """Entries of all processes."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return seen
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, seen)
    return [entry for part in parts for entry in part]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
