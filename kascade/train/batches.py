"""Examples in batches: which process takes which, and examples of equal shapes stacked to one problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from kascade.errors import ConfigError
from kascade.physics import Encoding
from kascade.train.examples import Example
from kascade.train.recipe import TrainingConfig

__all__ = ["Batches", "ExampleSource", "StackedExamples", "shares", "stack"]


class Countable(Protocol):
    """A data set with a length."""

    def __getitem__(self, index: int, /) -> Any:
        """Example `index`."""

    def __len__(self) -> int:
        """How many there are."""


class ExampleSource(Protocol):
    """Where examples come from, such as `TrainingData`."""

    @property
    def files(self) -> Any:
        """Files for training and for validation, of each source of the recipe."""

    @property
    def fits(self) -> dict[str, list[float]]:
        """Ranges of what the examples cover, for the model card."""

    def train(self, epoch: int, size: int, /) -> Countable:
        """`size` examples of `epoch`."""

    def validation(self) -> Countable:
        """Examples held out of training."""


class StackedExamples(NamedTuple):
    """Examples of equal shapes: E and k-space (batch, coil, rows, columns), target (batch, rows, columns)."""

    E: Encoding
    y: Tensor
    target: Tensor


def stack(examples: Sequence[Example]) -> list[StackedExamples]:
    """Group examples by shape, in the order in which shapes first appear, and stack each group."""
    groups: dict[tuple[torch.Size, torch.Size], list[Example]] = {}
    for example in examples:
        groups.setdefault((example.y.shape, example.mask.shape), []).append(example)
    problems = []
    for group in groups.values():
        y, maps, mask, target = (torch.stack(tensors) for tensors in zip(*group, strict=True))
        full = mask[:, None, None] if mask.ndim == 2 else mask[:, None]
        problems.append(StackedExamples(Encoding(maps, full), y, target))
    return problems


def shares(steps: range, batch: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """Indices of the examples that process `rank` of `world` takes in each of `steps`; together they take all in order.

    Raises
    ------
    ConfigError
        If a batch cannot be shared evenly.
    """
    if batch % world:
        raise ConfigError(f"training.batch {batch} cannot be shared by {world} devices; expected a multiple of {world}")
    return [list(range(step * batch + rank, (step + 1) * batch, world)) for step in steps]


class Batches(LightningDataModule):
    """Loaders of examples: one epoch is one validation interval.

    Parameters
    ----------
    data : ExampleSource
        Where examples come from.
    config : TrainingConfig
        Steps, batch, interval and workers.
    """

    def __init__(self, data: ExampleSource, config: TrainingConfig) -> None:
        super().__init__()
        self.data, self.config = data, config
        self.held_out = data.validation()

    def train_dataloader(self) -> DataLoader[Any]:
        """Examples of the steps until the next validation; they follow from the seed and the steps done so far."""
        trainer, config = self._trainer(), self.config
        epoch, done = divmod(trainer.global_step, config.validate_every)
        end = min(config.validate_every, config.steps - epoch * config.validate_every)
        examples = self.data.train(epoch, config.validate_every * config.batch)
        return self._loader(examples, shares(range(done, end), config.batch, trainer.global_rank, trainer.world_size))

    def val_dataloader(self) -> DataLoader[Any]:
        """Single examples held out of training."""
        trainer = self._trainer()
        mine = range(trainer.global_rank, len(self.held_out), trainer.world_size)
        return self._loader(self.held_out, [[index] for index in mine])

    def _trainer(self) -> Trainer:
        assert self.trainer is not None
        return self.trainer

    def _loader(self, examples: Any, batches: list[list[int]]) -> DataLoader[Any]:
        return DataLoader(examples, batch_sampler=batches, collate_fn=list, num_workers=self.config.workers)
