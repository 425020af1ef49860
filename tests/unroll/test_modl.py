"""MoDL: its iterations against a dense solve, the gradient of lambda, warm starts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.nets.residual_cnn import ResidualCNN
from kascade.physics import Encoding
from kascade.physics.sense import penalty
from kascade.unroll import CascadeConfig, as_prior, build_cascade, cascade, make_prior
from kascade.unroll.modl import MoDL
from tests.battery import random_complex

SINGLE, DOUBLE = torch.complex64, torch.complex128
ROWS, COLUMNS, COILS = 6, 8, 3


@pytest.fixture(autouse=True)
def seed() -> None:
    """Networks start from the same weights in every run."""
    torch.manual_seed(0)


def problem(dtype: torch.dtype = SINGLE) -> tuple[Encoding, Tensor]:
    maps = random_complex(COILS, ROWS, COLUMNS, seed=1, dtype=dtype)
    maps = maps / torch.linalg.vector_norm(maps, dim=-3, keepdim=True)
    E = Encoding(maps, (torch.arange(COLUMNS) % 2 == 0).to(maps.real.dtype))
    return E, E(random_complex(ROWS, COLUMNS, seed=2, dtype=dtype))


class Half(nn.Module):
    """A prior that halves the image."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


def by_matrix(E: Encoding, y: Tensor, iterations: int, a: Tensor | float) -> Tensor:
    """x_(k+1) = (E^H E + a I)^-1 (E^H y + a x_k / 2), x_0 = E^H y, with E written out."""
    n = ROWS * COLUMNS
    columns = E(torch.eye(n, dtype=y.dtype).reshape(n, ROWS, COLUMNS)).reshape(n, -1).T
    b = columns.mH @ y.reshape(-1)
    x = b
    for _ in range(iterations):
        x = torch.linalg.solve(columns.mH @ columns + a * torch.eye(n, dtype=y.dtype), b + a * 0.5 * x)
    return x.reshape(ROWS, COLUMNS)


def test_iterations_are_those_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data consistency is on, with a = lambda_MoDL, which starts at 0.05."""
    monkeypatch.setattr(cascade, "TOLERANCE", 1e-6)
    E, y = problem()
    for lam, a in (("learned", 0.05), (2.0, 1 / 16)):
        out = MoDL(Half(), 3, lam)(E, y, trace=True)
        torch.testing.assert_close(out.image, by_matrix(E, y, 3, a), rtol=1e-4, atol=1e-5)
        assert out.trace is not None and len(out.trace.x) == len(out.trace.z) == 3
        torch.testing.assert_close(penalty(out.trace.lam[0]), torch.tensor(a))
        torch.testing.assert_close(out.trace.z[1], 0.5 * out.trace.x[0])
        assert torch.equal(out.trace.x[-1], out.image)
        # The data are explained far better than by what the denoiser gives.
        denoised = float((E(out.trace.z[-1]) - y).norm() / y.norm())
        assert float(out.trace.consistency[-1]) < 0.2 * denoised


def test_gradient_of_lambda_is_that_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the part through the inverse, which the gradient of the authors' code lacks."""
    monkeypatch.setattr(cascade, "TOLERANCE", 1e-12)
    E, y = problem(DOUBLE)
    target = random_complex(ROWS, COLUMNS, seed=3, dtype=DOUBLE)
    model = MoDL(Half(), 3).double()
    parameter = next(model.parameters())

    def loss(image: Tensor) -> Tensor:
        return (image - target).abs().square().sum()

    loss(model(E, y).image).backward()
    assert parameter.grad is not None
    values, step = [], 1e-4
    for sign in (1, -1):
        a = penalty((parameter.detach() + sign * step).exp())
        values.append(float(loss(by_matrix(E, y, 3, a))))
    torch.testing.assert_close(float(parameter.grad), (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=0.0)


def test_weights_of_one_iteration_start_ten() -> None:
    E, y = problem()
    first = MoDL(make_prior("residual-cnn", options={"channels": 4, "layers": 3}), 1)
    first(E, y).image.abs().square().sum().backward()
    with torch.no_grad():
        for parameter in first.parameters():
            assert parameter.grad is not None
            parameter -= 1e-3 * parameter.grad
    ten = MoDL(make_prior("residual-cnn", options={"channels": 4, "layers": 3}), 10)
    ten.load_state_dict(first.state_dict())
    copied = first.with_iterations(10)
    with torch.no_grad():
        image = ten.eval()(E, y).image
        assert torch.equal(copied.eval()(E, y).image, image)
        assert not torch.allclose(first.eval()(E, y).image, image, rtol=1e-2)
        for parameter in copied.parameters():
            parameter += 1
        assert torch.equal(ten(E, y).image, image) and first.iterations == 1
    for wrong in (lambda: first.with_iterations(0), lambda: MoDL(Half(), 0)):
        with pytest.raises(ConfigError, match="iterations must be 1 or more"):
            wrong()


def test_checkpointing_gives_the_same_gradients() -> None:
    E, y = problem()
    grads = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = MoDL(as_prior(nn.Conv2d(2, 2, 3, padding=1)), 2, checkpointing=checkpointing).train()
        model(E, y).image.abs().square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("amplitude", [0.0, 1e-6, 1e6])
def test_amplitude_does_not_matter(amplitude: float) -> None:
    E, y = problem()
    model = MoDL(make_prior("residual-cnn", options={"channels": 4, "layers": 2}), 2).eval()
    torch.testing.assert_close(
        model(E, amplitude * y).image, amplitude * model(E, y).image, rtol=1e-2, atol=1e-3 * amplitude
    )


def test_the_papers_denoiser_is_built_by_name() -> None:
    """Five 3 x 3 convolutions of 64 channels with batch normalization."""
    config = {"kind": "modl", "prior": {"name": "residual-cnn"}, "iterations": 10, "checkpointing": True}
    model = build_cascade(CascadeConfig.model_validate(config))
    assert isinstance(model, MoDL) and model.iterations == 10 and model.checkpointing
    network = model.prior.network
    assert isinstance(network, ResidualCNN)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 64, 64, 64, 2]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 5
    assert sum(isinstance(m, nn.ReLU) for m in network.modules()) == 4
    assert sum(p.numel() for p in model.parameters()) == 9 * (2 * 64 + 3 * 64 * 64 + 64 * 2) + 2 * (4 * 64 + 2) + 1
