"""The training of super-resolution networks: absolute error, and losses on features where the recipe asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kascade.errors import ConfigError
from kascade.nets.bands import OnBands
from kascade.nets.gfpgan import GFPGAN
from kascade.nets.styleswin import StyleSwin
from kascade.nets.transmrsr import TransMRSR
from kascade.recon.superres.weights import load_superres, save_superres
from kascade.report import psnr, ssim
from kascade.train.base import Images, TrainingModule, gathered, mean
from kascade.train.superres.data import ThickExample
from kascade.train.superres.features import FeatureLoss, feature_network
from kascade.train.superres.recipe import SuperResolutionRecipe

__all__ = ["SuperResolutionTraining"]

Batch = Sequence[ThickExample]


class SuperResolutionTraining(TrainingModule):
    """A super-resolution network in training; scores are "psnr" and "ssim" of output and "psnr_cubic" of input.

    Parameters
    ----------
    recipe : SuperResolutionRecipe
        What to train, and how.
    restored : bool
        A saved state will be loaded: the file of `prior` is not needed.
    """

    def __init__(self, recipe: SuperResolutionRecipe, restored: bool = False) -> None:
        torch.manual_seed(recipe.training.seed)
        network = recipe.build()
        if recipe.prior.file is not None:
            drawing = network.network if isinstance(network, OnBands) else network
            assert isinstance(drawing, TransMRSR | GFPGAN)  # the recipe sees to it
            _start(drawing, recipe, restored)
        super().__init__(recipe, network)
        self.recipe = recipe
        # Not a part of the module: its weights are neither trained nor saved.
        self._features: list[FeatureLoss] = []
        if recipe.loss.features is not None:
            self._features.append(feature_network(recipe.loss.features, recipe.data.size))

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the best known weights; the card tells factor, axis and profile, and the network of the losses."""
        data, loss = self.recipe.data, self.recipe.loss
        told = {"factor": data.factor, "axis": data.axis, "profile": data.profile}
        features = "none" if loss.features is None else f"{loss.features.network} ({loss.features.file})"
        save_superres(path, self.best_known, self.recipe.model, {**card, **told, "features": features}, force=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of the examples."""
        degraded, clean = _stacked(batch)
        return self.logged(self.loss(self.model(degraded), clean))

    def loss(self, image: Tensor, target: Tensor) -> Tensor:
        """Weighted sum of the losses of (batch, 1, rows, columns)."""
        weights = self.recipe.loss
        total = weights.l1 * F.l1_loss(image, target)
        for network in self._features:
            content, style = network.to(image.device)(image, target)
            total = total + weights.content * content + weights.style * style
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Score one example."""
        degraded, clean = _stacked(batch)
        image: Tensor = self.best_known(degraded)
        peak, loss = batch[0].peak, float(self.loss(image, clean))
        a, b, t = (x[0, 0].float().cpu().numpy() for x in (image, degraded, clean))
        found = (psnr(a, t, peak), ssim(a, t, peak), psnr(b, t, peak)) if t.max() > 0 else None
        self._seen.append((batch_idx * self.trainer.world_size + self.global_rank, loss, found))
        return image

    def on_validation_epoch_end(self) -> None:
        """Average over the examples of all processes, in their order."""
        seen = sorted(gathered(self._seen), key=lambda entry: entry[0])
        found = [scores for *_, scores in seen if scores is not None]
        self.validation_scores = {"loss": mean([loss for _, loss, _ in seen])}
        for n, name in enumerate(("psnr", "ssim", "psnr_cubic")):
            self.validation_scores[name] = mean([scores[n] for scores in found])

    def picture(self, batch: Batch, outputs: Tensor) -> Images:
        """Interpolated, restored and true image."""
        return batch[0].degraded[0], outputs[0, 0], batch[0].clean[0]


def _start(network: TransMRSR | GFPGAN, recipe: SuperResolutionRecipe, restored: bool) -> None:
    """Begin from the generator of the recipe; of a restored training only what is frozen matters."""
    if restored:
        network.freeze_prior(recipe.prior.freeze)
        return
    assert recipe.prior.file is not None
    generator = load_superres(recipe.prior.file).model
    if not isinstance(generator, StyleSwin):
        raise ConfigError(f"prior.file: {recipe.prior.file} is no generator; train recipes/styleswin-pretrain.yaml")
    try:
        network.load_prior(generator, freeze=recipe.prior.freeze)
    except ValueError as error:
        raise ConfigError(f"prior.file: {recipe.prior.file}: {error}") from error


def _stacked(batch: Batch) -> tuple[Tensor, Tensor]:
    return torch.stack([example.degraded for example in batch]), torch.stack([example.clean for example in batch])
