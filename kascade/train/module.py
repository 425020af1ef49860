"""The training of a cascade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.physics import Encoding
from kascade.train.base import Images, TrainingModule, gathered, learning_rate_factor, mean
from kascade.train.batches import stack
from kascade.train.examples import Example
from kascade.train.losses import image_loss
from kascade.train.precision import use_bfloat16
from kascade.train.recipe import Recipe
from kascade.train.scores import score
from kascade.train.start import load_start
from kascade.unroll import CascadeOutput, LambdaSchedule, save_model
from kascade.unroll.config import build_cascade

__all__ = ["CascadeTraining", "copy_priors", "learning_rate_factor"]


class CascadeTraining(TrainingModule):
    """A cascade in training; scores are "psnr", "ssim" and "loss".

    Parameters
    ----------
    recipe : Recipe
        What to train, and how.
    restored : bool
        A saved state will be loaded: the file of `training.start_from` is not needed.
    """

    def __init__(self, recipe: Recipe, restored: bool = False) -> None:
        config = recipe.training
        torch.manual_seed(config.seed)
        model = build_cascade(recipe.model)
        if config.start_from is not None and not restored:
            copy_priors(load_start(config.start_from).model, model, config.start_from)
        if config.precision == "bf16":
            use_bfloat16(model)
        super().__init__(recipe, model)
        self.recipe = recipe

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the best known weights."""
        save_model(path, self.best_known, self.recipe.model, card, force=True)

    def picture(self, batch: Sequence[Example], outputs: list[CascadeOutput]) -> Images:
        """Zero-filled image, reconstruction and target."""
        (problem,) = stack(batch)
        return problem.E.H(problem.y)[0], outputs[0].image[0], problem.target[0]

    def forward(self, batch: Sequence[Example]) -> Iterator[tuple[CascadeOutput, Tensor]]:
        """Reconstruct with the best known weights; gives output and target for each group of equal shapes."""
        for problem in stack(batch):
            yield self.best_known(problem.E, problem.y, trace=True), problem.target

    def training_step(self, batch: Sequence[Example], batch_idx: int) -> Tensor:
        """Mean loss over the examples."""
        return self.logged(torch.cat([self._loss(*problem) for problem in stack(batch)]).mean())

    def _loss(self, E: Encoding, y: Tensor, target: Tensor) -> Tensor:
        weights = self.recipe.loss
        if not weights.every_iteration:
            return image_loss(self.model(E, y).image, target, weights)
        output = self.model(E, y, trace=True)
        images = [image_loss(z, target, weights) for z in output.trace.z]
        return image_loss(output.image, target, weights) + weights.every_iteration * torch.stack(images).mean(0)

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
        seen = sorted(gathered(self._seen), key=lambda entry: entry[0])
        scores = [found for _, _, found, _ in seen if found is not None]
        self.validation_scores = {
            "loss": mean([loss for _, loss, _, _ in seen]),
            "psnr": mean([found.psnr for found in scores]),
            "ssim": mean([found.ssim for found in scores]),
        }
        self.lambdas = [mean(list(values)) for values in zip(*(lam for *_, lam in seen), strict=True)]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Networks, and lambdas, which have a learning rate of their own and no decay."""
        schedules = [m for m in self.model.modules() if isinstance(m, LambdaSchedule)]
        lambdas = {id(p): p for schedule in schedules for p in schedule.parameters()}
        networks = [p for p in self.model.parameters() if p.requires_grad and id(p) not in lambdas]
        rate = self.config.lambda_learning_rate
        return [
            {"params": networks, "name": "networks"},
            {"params": list(lambdas.values()), "lr": rate, "weight_decay": 0.0, "name": "lambdas"},
        ]


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
