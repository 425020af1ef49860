"""Kascade's own side of the speed benchmark, called as a user would call it."""

from __future__ import annotations

import sys
import warnings

import kascade
from kascade.benchmarks.speed_task import (
    ACS,
    ITERATIONS,
    LAMBDA,
    TOLERANCE,
    WAVELET_WEIGHT,
    Inputs,
    NotInstalledError,
    Task,
    process_task,
    torch_task,
)

__all__ = ["CASES", "DEVICES", "version"]

DEVICES = ("cpu", "cuda")


def version() -> str:
    """Version of Kascade."""
    return kascade.__version__


def gram(inputs: Inputs, case: str, device: str) -> Task:
    """`E.gram(x)`; the operator is built beforehand."""
    import torch

    from kascade.physics import Encoding

    maps, mask, x = (torch.from_numpy(a).to(device) for a in (inputs.maps, inputs.mask(case), inputs.image))
    operator = Encoding(maps, mask).gram
    return torch_task(lambda: operator(x), device)


def sense(inputs: Inputs, case: str, device: str) -> Task:
    """From k-space, maps and mask to the image, all tensors at hand."""
    import torch

    from kascade.physics import ConvergenceWarning, Encoding, regularized_sense

    warnings.simplefilter("ignore", ConvergenceWarning)
    maps, mask, y = (torch.from_numpy(a).to(device) for a in (inputs.maps, inputs.mask(case), inputs.kspace))

    tol, most = TOLERANCE.get(case, 0.0), ITERATIONS[case]

    def call() -> torch.Tensor:
        return regularized_sense(Encoding(maps, mask), y, lam=LAMBDA, tol=tol, max_iter=most).image

    return torch_task(call, device)


def gram_batch(inputs: Inputs, case: str, device: str) -> Task:
    """`E.gram(x)` of many slices, each with maps of its own."""
    import torch

    from kascade.physics import Encoding

    maps, x = (torch.from_numpy(inputs.batch(a)).to(device) for a in (inputs.maps, inputs.image))
    operator = Encoding(maps, torch.from_numpy(inputs.mask(case)).to(device)).gram
    return torch_task(lambda: operator(x), device, slices=inputs.slices)


def sense_batch(inputs: Inputs, case: str, device: str) -> Task:
    """`regularized_sense` of many slices, each with maps of its own; `dc-batch`: as in a cascade, from a prior."""
    import torch

    from kascade.physics import ConvergenceWarning, Encoding, regularized_sense

    warnings.simplefilter("ignore", ConvergenceWarning)
    maps, y, z = (torch.from_numpy(inputs.batch(a)).to(device) for a in (inputs.maps, inputs.kspace, inputs.image))
    mask = torch.from_numpy(inputs.mask(case)).to(device)

    def call() -> torch.Tensor:
        if case == "dc-batch":
            return regularized_sense(Encoding(maps, mask), y, 0.9 * z, lam=LAMBDA, tol=1e-3).image
        return regularized_sense(Encoding(maps, mask), y, lam=LAMBDA, tol=0.0, max_iter=ITERATIONS[case]).image

    return torch_task(call, device, slices=inputs.slices)


def cascade_forward(inputs: Inputs, case: str, device: str) -> Task:
    """An unrolled SENSE cascade at work, without gradients."""
    from kascade.benchmarks.speed_training import cascade, problem
    from kascade.physics import Encoding

    given, model = problem(inputs, device), cascade(device)
    E = Encoding(given.maps, given.mask)
    return torch_task(lambda: model(E, given.y).image, device)


def espirit(inputs: Inputs, case: str, device: str) -> Task:
    """From k-space to one set of maps."""
    import torch

    from kascade.physics.espirit import espirit

    y = torch.from_numpy(inputs.kspace).to(device)
    return torch_task(lambda: espirit(y, acs=ACS), device, comparable=False)


def wavelet(inputs: Inputs, case: str, device: str) -> Task:
    """From k-space, maps and mask to the image, without a stopping rule."""
    import torch

    from kascade.physics import Encoding
    from kascade.recon.wavelet import l1_wavelet

    maps, mask, y = (torch.from_numpy(a).to(device) for a in (inputs.maps, inputs.mask(case), inputs.kspace))

    def call() -> torch.Tensor:
        result, _ = l1_wavelet(Encoding(maps, mask), y, WAVELET_WEIGHT, max_iter=ITERATIONS[case], tol=0.0)
        return result.x

    return torch_task(call, device, comparable=False)


def model(inputs: Inputs, case: str, device: str) -> Task:
    """From raw k-space to the image by the model that comes with Kascade: oversampling, ESPIRiT, cascade."""
    import torch

    from kascade.data.scan import Scan
    from kascade.physics.oversampling import remove_readout_oversampling
    from kascade.recon import get_method
    from kascade.recon.models import shipped_models

    if not shipped_models():
        raise NotInstalledError("no trained model came with this copy")
    y, mask = torch.from_numpy(inputs.kspace), torch.from_numpy(inputs.mask(case))
    method = get_method("unrolled", device=device)

    def call() -> torch.Tensor:
        scan = Scan.from_arrays(remove_readout_oversampling(y)[None], mask=mask, name="speed")
        return method(scan, 0).image

    return torch_task(call, device, comparable=False)


def train_step(inputs: Inputs, case: str, device: str) -> Task:
    """Forward and backward pass of an unrolled SENSE cascade; gradients pass through the solves implicitly."""
    from kascade.benchmarks.speed_training import TrainingStep, cascade, problem
    from kascade.physics import Encoding

    given, model = problem(inputs, device), cascade(device)
    E = Encoding(given.maps, given.mask)
    return TrainingStep(model, lambda: model(E, given.y).image, given.target, device)


def start_import(inputs: Inputs, case: str, device: str) -> Task:
    """A Python process that imports the package."""
    return process_task([sys.executable, "-c", "import kascade"])


def start_help(inputs: Inputs, case: str, device: str) -> Task:
    """The program, asked for help."""
    return process_task([sys.executable, "-c", "from kascade.cli.main import main; main(['--help'])"])


CASES = {
    "gram-columns": gram,
    "gram-2d": gram,
    "sense": sense,
    "sense-1e-4": sense,
    "gram-batch": gram_batch,
    "sense-batch": sense_batch,
    "dc-batch": sense_batch,
    "cascade": cascade_forward,
    "espirit": espirit,
    "wavelet": wavelet,
    "model": model,
    "train-step": train_step,
    "import": start_import,
    "help": start_help,
}
