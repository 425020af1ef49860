"""The trainings of restoration: classifier, plain networks, adversarial ones, and the cycle of CAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.data.degradation import LABELS
from kascade.errors import ConfigError
from kascade.nets.cag import CAG, CLEAN_LABEL, DegradationClassifier
from kascade.nets.discriminators import PatchDiscriminator, VGGDiscriminator
from kascade.nets.hinet import HINet
from kascade.recon.restoration import save_restorer
from kascade.report.restoration_score import RestorationScore, roc_auc, score_restored
from kascade.train.base import Images, TrainingModule, gathered, mean
from kascade.train.batches import ExampleSource
from kascade.train.restoration.data import RestorationExample
from kascade.train.restoration.recipe import RestorationRecipe
from kascade.train.start import load_start

__all__ = [
    "AdversarialTraining",
    "ClassifierTraining",
    "CyclicTraining",
    "RestorationTraining",
    "auc_scores",
    "restoration_training",
]

Batch = Sequence[RestorationExample]

HARMLESS = 0.02
"""Root mean square error, on the scale [-1, 1], below which "relative" stops to weigh examples alike."""


def restoration_training(recipe: RestorationRecipe, data: ExampleSource, restored: bool = False) -> TrainingModule:
    """Training of the kind that the recipe's model needs; `restored` as in `make_training`."""
    kind = recipe.model.kind
    if kind == "classifier":
        return ClassifierTraining(recipe)
    if kind == "cag":
        return CyclicTraining(recipe, data, restored)
    if kind in AdversarialTraining.WEIGHTS:
        return AdversarialTraining(recipe)
    return RestorationTraining(recipe)


class _Training(TrainingModule):
    """Model of a restoration recipe, its first weights following from the seed."""

    def __init__(self, recipe: RestorationRecipe) -> None:
        torch.manual_seed(recipe.training.seed)
        super().__init__(recipe, recipe.build())
        self.recipe = recipe

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the best known weights."""
        save_restorer(path, self.best_known, self.recipe.model, card, force=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of the examples."""
        return self.logged(self.loss(_stacked(batch)))

    def loss(self, batch: RestorationExample) -> Tensor:
        """Loss of stacked examples."""
        raise NotImplementedError


class ClassifierTraining(_Training):
    """The classifier: binary cross-entropy of each label; scores are "auc_NAME" of each, and their mean "auc"."""

    criterion = "auc"

    def loss(self, batch: RestorationExample) -> Tensor:
        """Mean over labels and examples."""
        return F.binary_cross_entropy_with_logits(self.model(batch.degraded), batch.labels)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Note the logits of one example."""
        stacked = _stacked(batch)
        logits = self.best_known(stacked.degraded)
        loss = F.binary_cross_entropy_with_logits(logits, stacked.labels)
        self._seen.append((logits[0].tolist(), stacked.labels[0].tolist(), float(loss)))

    def on_validation_epoch_end(self) -> None:
        """Average over the examples of all processes."""
        seen = sorted(gathered(self._seen))
        logits, labels, losses = zip(*seen, strict=True)
        self.validation_scores = {"loss": mean(losses), **auc_scores(torch.tensor(logits), torch.tensor(labels))}


class RestorationTraining(_Training):
    """A network that learns from pairs: the recipe's `loss`, or, of HINet's two stages, the negative PSNR.

    Scores are "psnr", "ssim" and "rmse" of the middle slice within the head, see `score_restored`.
    """

    def loss(self, batch: RestorationExample) -> Tensor:
        """Mean over all voxels of the three slices."""
        if isinstance(self.model, HINet):
            errors = [F.mse_loss(stage, batch.clean) for stage in self.model.stages(batch.degraded)]
            return torch.stack([10 * torch.log10(error + 1e-8) for error in errors]).sum()
        return self.compared(self.model(batch.degraded), batch)

    def compared(self, restored: Tensor, batch: RestorationExample) -> Tensor:
        """The recipe's loss of restored images."""
        if self.recipe.loss == "l1":
            return F.l1_loss(restored, batch.clean)
        after, before = ((x - batch.clean).square().mean((1, 2, 3)) for x in (restored, batch.degraded))
        return (after / (before + HARMLESS**2)).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Score one example."""
        stacked = _stacked(batch)
        restored: Tensor = self.best_known(stacked.degraded)
        loss = float(F.l1_loss(restored, stacked.clean))
        image, target = (x[0, 1].float().cpu().numpy() for x in (restored, stacked.clean))
        found = score_restored(image, target, stacked.head[0].cpu().numpy())
        self._seen.append((batch_idx * self.trainer.world_size + self.global_rank, loss, found))
        return restored

    def on_validation_epoch_end(self) -> None:
        """Average over the examples of all processes, in their order."""
        seen = sorted(gathered(self._seen), key=lambda entry: entry[0])
        found = [score for *_, score in seen if score is not None]
        self.validation_scores = {"loss": mean([loss for _, loss, _ in seen])}
        for name in RestorationScore._fields:
            self.validation_scores[name] = mean([getattr(score, name) for score in found])

    def picture(self, batch: Batch, outputs: Tensor) -> Images:
        """Degraded, restored and clean slice."""
        example = batch[0]
        degraded, restored, clean = ((x[1] + 1) / 2 for x in (example.degraded, outputs[0], example.clean))
        return degraded, restored.clamp(min=0), clean


class AdversarialTraining(RestorationTraining):
    """Generator and discriminator, updated in one step from one pass of each: pix2pix, SRGAN, ResViT.

    The gradients of both are those of their own losses at the same weights (simultaneous descent), which needs one
    optimizer only. SRGAN's loss of pixels is the squared error, its perceptual loss needs a network trained on photos.
    """

    WEIGHTS = {"pix2pix": (100.0, 1.0), "srgan": (1.0, 1e-3), "resvit": (100.0, 1.0)}  # noqa: RUF012
    """Of the loss of pixels and of the adversarial one, as in the papers."""

    betas = (0.5, 0.999)

    def __init__(self, recipe: RestorationRecipe) -> None:
        super().__init__(recipe)
        self.conditional = recipe.model.kind != "srgan"
        self.discriminator: nn.Module = PatchDiscriminator(6) if self.conditional else VGGDiscriminator(3)

    def loss(self, batch: RestorationExample) -> Tensor:
        """Loss of the generator, which the discriminator's weights do not see, and that of the discriminator."""
        restored = self.model(batch.degraded)
        pixel, adversarial = self.WEIGHTS[self.recipe.model.kind]
        compare = F.l1_loss if self.conditional else F.mse_loss
        self.discriminator.requires_grad_(False)
        fooled = self._judged(batch.degraded, restored)
        self.discriminator.requires_grad_(True)
        generator = pixel * compare(restored, batch.clean) + adversarial * _as(fooled, 1.0)
        real, fake = (self._judged(batch.degraded, x) for x in (batch.clean, restored.detach()))
        return generator + (_as(real, 1.0) + _as(fake, 0.0)) / 2

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the generator and of the discriminator."""
        return [*super().parameter_groups(), {"params": list(self.discriminator.parameters()), "name": "discriminator"}]

    def _judged(self, degraded: Tensor, image: Tensor) -> Tensor:
        out: Tensor = self.discriminator(torch.cat((degraded, image), 1) if self.conditional else image)
        return out


class CyclicTraining(RestorationTraining):
    """The cycle of CAG: explain, restore, compare pixels and semantics, step, and let the classifier follow.

    True labels are explained in training, the pseudo-label in validation. "auc" is that of the classifier; where it
    falls below `cycle.refit_below`, its last layer is fitted anew, for its encoder moves and that layer does not.
    """

    model: CAG
    REFIT_EXAMPLES = 96

    def __init__(self, recipe: RestorationRecipe, data: ExampleSource, restored: bool) -> None:
        super().__init__(recipe)
        self.examples = data
        if not restored:
            assert recipe.training.start_from is not None
            self._start(recipe.training.start_from)

    def _start(self, name: str) -> None:
        classifier = load_start(name).model
        if not isinstance(classifier, DegradationClassifier):
            raise ConfigError(f"training.start_from: {name} is no degradation classifier; train recipes/cag-classifier")
        try:
            self.model.start_from(classifier)
        except RuntimeError as error:
            raise ConfigError(
                f"training.start_from: the classifier in {name} has other sizes than the recipe's model; use the same "
                "width, blocks, heads, expansion and norm_bias"
            ) from error

    def loss(self, batch: RestorationExample) -> Tensor:
        """The recipe's `loss` + `cycle.semantic` x cross-entropy of taking the output for clean."""
        restored = self.model(batch.degraded, batch.labels)
        pixels = self.compared(restored, batch)
        if not self.recipe.cycle.semantic:
            return pixels
        clean = restored.new_tensor(CLEAN_LABEL).expand(len(restored), -1)
        semantic = F.binary_cross_entropy_with_logits(self.model.classifier(restored), clean)
        return pixels + self.recipe.cycle.semantic * semantic

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Let the classifier follow the encoder."""
        self.model.follow(self.recipe.cycle.momentum)

    def on_validation_epoch_start(self) -> None:
        """Mend the classifier's last layer where it needs that: what is scored is what is saved."""
        super().on_validation_epoch_start()
        self._auc = self._classifier_auc()
        if self._auc < self.recipe.cycle.refit_below:
            self._refit()
            self._auc = self._classifier_auc()

    def on_validation_epoch_end(self) -> None:
        """Average over the examples, and add what the classifier knows."""
        super().on_validation_epoch_end()
        self.validation_scores["auc"] = self._auc

    @torch.no_grad()
    def _classifier_auc(self) -> float:
        """Of all validation examples, in each process."""
        examples = self.examples.validation()
        seen = [examples[index] for index in range(len(examples))]
        logits = [self.model.classifier(example.degraded[None].to(self.device))[0].cpu() for example in seen]
        return auc_scores(torch.stack(logits), torch.stack([example.labels for example in seen]))["auc"]

    def _refit(self) -> None:
        """Fit the last layer to training examples, the same in all processes."""
        classifier = self.model.classifier
        fixed = self.examples.train(-1 % 2**31, self.REFIT_EXAMPLES)
        with torch.inference_mode(False):
            features, labels = [], []
            for index in range(self.REFIT_EXAMPLES):
                example = fixed[index]
                with torch.no_grad():
                    features.append(classifier.pooled(example.degraded[None].to(self.device))[0])
                labels.append(example.labels.to(self.device))
            fit_head(classifier.head, torch.stack(features), torch.stack(labels))


def fit_head(head: nn.Linear, features: Tensor, labels: Tensor, decay: float = 1e-3) -> None:
    """Logistic regression of labels (examples, labels) by features (examples, features), from the weights there are."""
    weight, bias = (p.detach().clone().requires_grad_() for p in (head.weight, head.bias))
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(F.linear(features, weight, bias), labels)
        loss = loss + decay * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)


def auc_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """AUC of each label, and "auc", the mean over those that some examples have and others have not.

    Parameters
    ----------
    logits, labels : Tensor
        (examples, 4).
    """
    each = {f"auc_{name}": roc_auc(logits[:, n], labels[:, n] > 0.5) for n, name in enumerate(LABELS)}
    known = [value for value in each.values() if value == value]  # NaN is not
    return {"auc": mean(known), **each}


def _stacked(batch: Batch) -> RestorationExample:
    return RestorationExample(*(torch.stack(tensors) for tensors in zip(*batch, strict=True)))


def _as(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
