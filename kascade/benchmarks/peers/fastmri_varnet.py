"""E2E-VarNet of the fastmri package: one training step with U-Nets of the size of ours, and its full size at work."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kascade.benchmarks.speed_task import CASCADES, CHANNELS, LEVELS, Inputs, NotInstalledError, Task, torch_task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def version() -> str:
    """Version of fastmri."""
    if find_spec("fastmri") is None:
        raise NotInstalledError("not installed: pip install 'kascade[fastmri]'")
    return installed_version("fastmri")


def train_step(inputs: Inputs, case: str, device: str) -> Task:
    """`fastmri.models.VarNet` with its own network for the coil maps (8 channels, 4 poolings)."""
    import torch
    from fastmri.models import VarNet

    from kascade.benchmarks.speed_training import TrainingStep, problem

    torch.manual_seed(0)
    given = problem(inputs, device)
    model = VarNet(num_cascades=CASCADES, chans=CHANNELS, pools=LEVELS).to(device)
    y = torch.view_as_real(given.y)[None]
    mask = (given.mask != 0)[None, None, None, :, None]

    def call() -> Tensor:
        image: Tensor = model(y, mask)[0]
        return image

    return TrainingStep(model, call, given.target, device, comparable=False)


def model(inputs: Inputs, case: str, device: str) -> Task:
    """`fastmri.models.VarNet` at the size of the fastMRI leaderboard: 12 cascades of 18 channels."""
    import torch
    from fastmri.models import VarNet

    network = VarNet(num_cascades=12, chans=18, pools=4, sens_chans=8, sens_pools=4).to(device).eval()
    y = torch.view_as_real(torch.from_numpy(inputs.kspace).to(device))[None]
    mask = (torch.from_numpy(inputs.mask(case)).to(device) != 0)[None, None, None, :, None]
    return torch_task(lambda: network(y, mask)[0], device, comparable=False)


CASES = {"model": model, "train-step": train_step}
