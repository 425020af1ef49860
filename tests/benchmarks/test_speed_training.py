"""The training step of the speed benchmark: one problem for all, gradients that agree, memory counted right."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from kascade.benchmarks import speed_training
from kascade.benchmarks.peers import cg_autograd, fastmri_varnet
from kascade.benchmarks.speed_data import write_inputs
from kascade.benchmarks.speed_rows import Row, format_table
from kascade.benchmarks.speed_task import Inputs
from kascade.benchmarks.speed_training import Problem, TrainingStep, problem
from kascade.benchmarks.speed_worker import IMPLEMENTATIONS, serve
from kascade.benchmarks.tensor_memory import peak_tensor_bytes
from kascade.physics import Encoding
from kascade.unroll import cascade

SIZE = (3, 40, 37)  # coils, rows, columns: odd, and rows are cropped
MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs")
    write_inputs(path, *SIZE)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and crop of a size for tests."""
    for name, value in {"CROP": 38, "CHANNELS": 2, "LEVELS": 2, "CASCADES": 3}.items():
        monkeypatch.setattr(speed_training, name, value)


def step(folder: Path, implementation: str) -> TrainingStep:
    task = import_module(IMPLEMENTATIONS[implementation]).CASES["train-step"](Inputs(folder), "train-step", "cpu")
    assert isinstance(task, TrainingStep)
    return task


def test_the_problem_is_a_cropped_scan(folder: Path) -> None:
    given = problem(Inputs(folder), "cpu")
    assert given.y.shape == given.maps.shape == (3, 38, 37) and given.target.shape == (38, 37)
    assert torch.equal(given.target, torch.from_numpy(Inputs(folder).image[1:39]))
    assert not given.y[..., given.mask == 0].any() and 0 < float(given.mask.mean()) < 1
    clean = Encoding(given.maps, given.mask)(given.target)
    assert 0 < float((given.y - clean).norm() / clean.norm()) < 0.2


def test_recorded_cg_is_the_same_cascade(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exact solves on both sides image and all gradients agree: the rows compare one computation."""
    monkeypatch.setattr(cascade, "TOLERANCE", 1e-10)
    monkeypatch.setattr(cg_autograd, "RECORDED_CG", 80)
    problem_as_it_is, cascade_as_it_is = speed_training.problem, speed_training.cascade

    def in_double(inputs: Inputs, device: str) -> Problem:
        given = problem_as_it_is(inputs, device)
        return Problem(given.maps.cdouble(), given.mask.double(), given.y.cdouble(), given.target.cdouble())

    monkeypatch.setattr(speed_training, "problem", in_double)
    monkeypatch.setattr(speed_training, "cascade", lambda device: cascade_as_it_is(device).double())
    ours, theirs = step(folder, "kascade"), step(folder, "cg-autograd")
    torch.testing.assert_close(theirs.step(), ours.step(), rtol=1e-4, atol=1e-5)
    for (name, a), b in zip(ours.model.named_parameters(), theirs.model.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert float((a.grad - b.grad).norm()) <= 1e-3 * float(a.grad.norm()) + 1e-9, name


def test_memory_beyond_the_networks_is_a_fifth_of_that_of_recorded_cg(folder: Path) -> None:
    ours, recorded, networks = (step(folder, name).peak_bytes() for name in ("kascade", "cg-autograd", "networks"))
    assert networks > 0 and ours - networks < (recorded - networks) / 5


@pytest.mark.parity
def test_varnet_has_networks_of_the_same_size(
    folder: Path, fastmri_package: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CHANNELS": 2, "LEVELS": 2, "CASCADES": 3}.items():
        monkeypatch.setattr(fastmri_varnet, name, value)
    theirs, ours = step(folder, "fastmri"), step(folder, "kascade")
    assert theirs().seconds > 0 and theirs.peak_bytes() > 0
    for block, prior in zip(theirs.model.cascades, ours.model.priors, strict=True):
        assert count(block.model) == count(prior)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_worker_reports_the_memory_of_the_step(folder: Path) -> None:
    answers = list(serve(folder, "train-step", "networks", "cpu", ["measure", "finish"]))
    assert answers[-1]["peak_bytes"] == step(folder, "networks").peak_bytes()
    assert answers[-1]["difference"] is None


# --- counting -------------------------------------------------------------------------------------------------------


def made(mebibytes: int) -> Tensor:
    return torch.ones(mebibytes * MIB // 4)


def test_peak_counts_what_lives_at_one_time() -> None:
    def call() -> None:
        a = made(10)
        b = a + 1  # 20
        del a
        b.view(-1, 4).mul_(2)  # views and in-place operations make nothing
        torch.cat((b, b))  # 30

    assert peak_tensor_bytes(call) == 30 * MIB


def test_what_was_there_before_does_not_count() -> None:
    weight = made(8)
    assert peak_tensor_bytes(lambda: weight.view(-1)[:5].mul_(2)) < 100


def test_tensors_saved_for_the_backward_pass_count_and_are_freed_after_it() -> None:
    weight = made(1).requires_grad_()

    def chain(length: int) -> None:
        x = weight * 1
        for _ in range(length):
            x = x.exp()  # keeps its result
        x.sum().backward()
        weight.grad = None

    short, long = (peak_tensor_bytes(lambda n=n: chain(n)) for n in (2, 6))
    assert long - short == 4 * MIB
    assert peak_tensor_bytes(lambda: [chain(2) for _ in range(5)]) == short


def test_custom_functions_are_seen_inside() -> None:
    class Costly(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, g: Tensor) -> Tensor:
            work = [g + i for i in range(10)]
            return work[0] * 2

    weight = made(1).requires_grad_()
    assert 11 * MIB <= peak_tensor_bytes(lambda: Costly.apply(weight).sum().backward()) <= 14 * MIB


# --- table ----------------------------------------------------------------------------------------------------------


def test_table_says_what_the_step_needs_beside_the_networks() -> None:
    def row(name: str, mebibytes: int) -> Row:
        return Row("train-step", name, "1", None, 1.0, 1.0, 3, 1.0, mebibytes * MIB, None)

    text = format_table([row("kascade", 104), row("cg-autograd", 206), row("networks", 100)])
    assert "peak beyond that of the U-Nets alone: Kascade 4.0 MiB, CG in autograd 106.0 MiB" in text
    assert "U-Net 18, crop 256" in text and "6 cascades" in text
    assert "beyond that of" not in format_table([row("kascade", 104)])
