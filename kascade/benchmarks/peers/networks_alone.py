"""The networks of Kascade's cascade in a row, without any data consistency: what a training step costs at least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kascade.benchmarks.peers.fastmri_style import version
from kascade.benchmarks.speed_task import Inputs, Task, torch_task

if TYPE_CHECKING:
    from torch import Tensor

    from kascade.benchmarks.speed_training import TrainingStep

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def train_step(inputs: Inputs, case: str, device: str) -> TrainingStep:
    """From the zero-filled image through all networks."""
    from kascade.benchmarks.speed_training import TrainingStep, cascade, problem
    from kascade.physics import Encoding

    given, model = problem(inputs, device), cascade(device)
    start = Encoding(given.maps, given.mask).H(given.y)

    def call() -> Tensor:
        x = start
        for prior in model.priors:
            x = prior(x)
        return x

    return TrainingStep(model, call, given.target, device, comparable=False)


def cascade_forward(inputs: Inputs, case: str, device: str) -> Task:
    """The same without gradients."""
    step = train_step(inputs, "train-step", device)
    return torch_task(step.reconstruct, device, comparable=False)


CASES = {"cascade": cascade_forward, "train-step": train_step}
