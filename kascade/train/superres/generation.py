"""The training of a generator: StyleSwin against a wavelet discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.errors import ConfigError
from kascade.nets.styleswin import StyleSwin
from kascade.nets.wavelet_discriminator import WaveletDiscriminator
from kascade.recon.superres.weights import save_superres
from kascade.train.base import Images, TrainingModule, gathered, mean
from kascade.train.superres.augment import changed
from kascade.train.superres.recipe import GenerationRecipe

__all__ = ["GenerationTraining", "descriptor", "frechet_distance", "r1_penalty"]

DISCRIMINATOR_CLIP = 5.0
POOLED = 8


class GenerationTraining(TrainingModule):
    """Generator and discriminator, updated in one step (simultaneous descent): non-saturating losses and lazy R1.

    Balanced consistency has the discriminator score changed images, real and generated ones, like unchanged ones. Its
    learning rate is higher than the generator's (TTUR). The running average of the generator is validated and saved.

    Scores are "frechet", the Frechet distance between `descriptor`s of generated and of held-out real slices (lower is
    better), and "closeness", its negative, by which the best weights are chosen. It is no FID: no network trained on
    photographs is asked.

    Parameters
    ----------
    recipe : GenerationRecipe
        What to train, and how.
    """

    criterion = "closeness"
    betas = (0.0, 0.99)
    model: StyleSwin

    def __init__(self, recipe: GenerationRecipe) -> None:
        torch.manual_seed(recipe.training.seed)
        generator = recipe.build()
        assert isinstance(generator, StyleSwin)
        super().__init__(recipe, generator)
        self.recipe = recipe
        try:
            self.discriminator = WaveletDiscriminator(size=generator.size, channels=1, **_plain(recipe.discriminator))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"discriminator refuses the options {recipe.discriminator}: {error}") from error

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the best known generator."""
        save_superres(path, self.best_known, self.recipe.model, card, force=True)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Loss of the examples."""
        return self.logged(self.loss(torch.stack(list(batch))))

    def loss(self, real: Tensor) -> Tensor:
        """Sum of both losses, neither of which changes the weights of the other's network."""
        fake = self.model(torch.randn(len(real), self.model.latent, device=real.device))
        self.discriminator.requires_grad_(False)
        generator = F.softplus(-self.discriminator(fake)).mean()
        self.discriminator.requires_grad_(True)
        return generator + self._judgement(real, fake.detach())

    def _judgement(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of the discriminator."""
        weights = self.recipe.loss
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        if weights.consistency:
            moved = F.mse_loss(self.discriminator(changed(real)), on_real)
            moved = moved + F.mse_loss(self.discriminator(changed(fake)), on_fake)
            loss = loss + weights.consistency * moved
        if weights.r1 and self.global_step % weights.r1_every == 0:
            loss = loss + weights.r1 / 2 * weights.r1_every * r1_penalty(self.discriminator, real)
        return loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the generator and of the discriminator, which learns faster."""
        rate = self.config.learning_rate * self.recipe.loss.discriminator_rate
        judge = {"params": list(self.discriminator.parameters()), "name": "discriminator", "lr": rate}
        return [*super().parameter_groups(), judge]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limit the gradients of both networks, each by itself."""
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        norm = torch.nn.utils.clip_grad_norm_(self.discriminator.parameters(), DISCRIMINATOR_CLIP)
        if not bool(norm.isfinite()):
            raise self._diverged("the gradient of the discriminator")

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Generate one image from its number, and describe it and a real one."""
        number = batch_idx * self.trainer.world_size + self.global_rank
        source = torch.Generator().manual_seed(self.config.seed + 7_919 * number)
        z = torch.randn(1, self.model.latent, generator=source).to(self.device)
        fake: Tensor = self.best_known(z)
        score = float(F.softplus(-self.discriminator(fake)))
        pair = [descriptor(x)[0].tolist() for x in (batch[0][None].to(self.device), fake)]
        self._seen.append((number, score, *pair))
        return fake

    def on_validation_epoch_end(self) -> None:
        """Compare the descriptors of all processes."""
        seen = sorted(gathered(self._seen), key=lambda entry: entry[0])
        distance = frechet_distance(*(np.array([entry[n] for entry in seen]) for n in (2, 3)))
        loss = mean([entry[1] for entry in seen])
        self.validation_scores = {"loss": loss, "frechet": distance, "closeness": -distance}

    def picture(self, batch: Sequence[Tensor], outputs: Tensor) -> Images:
        """Generated image, another in the same style but drawn to the nearest center, and a real slice."""
        generator = self.best_known
        assert isinstance(generator, StyleSwin)
        z = torch.randn(1, generator.latent, generator=torch.Generator().manual_seed(len(self._seen)))
        other = generator.draw(generator.truncation(generator.mapping(z.to(self.device))))
        return outputs[0, 0].clamp(min=0), other[0, 0].clamp(min=0), batch[0][0]


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Mean squared norm of the gradient of the scores by real images; Mescheder et al., ICML 2018."""
    real = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


def descriptor(images: Tensor) -> Tensor:
    """Gray value and edges in 8 x 8 fields: (batch, 1, rows, columns) to (batch, 128)."""
    edges = sum(F.pad(images.diff(dim=axis).abs(), pad) for axis, pad in ((-1, (0, 1)), (-2, (0, 0, 0, 1))))
    assert isinstance(edges, Tensor)
    return torch.cat([F.adaptive_avg_pool2d(x, POOLED).flatten(1) for x in (images, edges)], 1)


def frechet_distance(a: Any, b: Any) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of descriptors, (examples, features).

    |m_a - m_b|^2 + tr(A) + tr(B) - 2 tr((A B)^1/2), the last from the singular values of the product of the centered
    sets, so that few examples are no problem.
    """
    means, centered = zip(*((x.mean(0), (x - x.mean(0)) / np.sqrt(max(len(x) - 1, 1))) for x in (a, b)), strict=True)
    cross = np.linalg.svd(centered[0] @ centered[1].T, compute_uv=False).sum()
    total = np.square(means[0] - means[1]).sum() + sum(np.square(c).sum() for c in centered) - 2 * cross
    return max(float(total), 0.0)


def _plain(options: Mapping[str, int | bool]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("size", "channels")}
