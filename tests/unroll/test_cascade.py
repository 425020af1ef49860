"""The cascade: closed forms with simple priors, gradients to lambda, amplitudes, schedules."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.nets.unet import UNet
from kascade.physics import Encoding, regularized_sense
from kascade.unroll import UnrolledSENSE, as_prior, cascade
from kascade.unroll.cascade import TOLERANCE
from kascade.unroll.schedules import NICKEL_TABLE_1, Constant, Fixed, Geometric, Learned, Predicted, make_schedule
from tests.battery import random_complex

SINGLE = torch.complex64


@pytest.fixture(autouse=True)
def seed() -> None:
    """Networks start from the same weights in every run."""
    torch.manual_seed(0)


def problem(batch: tuple[int, ...] = (), rows: int = 16, columns: int = 18, coils: int = 4) -> tuple[Encoding, Tensor]:
    maps = random_complex(*batch, coils, rows, columns, seed=1, dtype=SINGLE)
    maps = maps / torch.linalg.vector_norm(maps, dim=-3, keepdim=True)
    E = Encoding(maps, (torch.arange(columns) % 2 == 0).float())
    return E, E(random_complex(*batch, rows, columns, seed=2, dtype=SINGLE))


class Half(nn.Module):
    """A prior that halves the image."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


def test_iterations_are_those_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """x_n = SENSE(y; z_(n-1), lambda_n), z_n = U(x_n), z_0 = 0, output z_N."""
    monkeypatch.setattr(cascade, "TOLERANCE", 1e-6)
    E, y = problem()
    lams = (5.0, 2.0, 1.0)
    out = UnrolledSENSE(Half(), 3, lam=lams)(E, y, trace=True)
    z = None
    for n, lam in enumerate(lams):
        x = regularized_sense(E, y, z, lam=lam).image
        z = 0.5 * x
        assert out.trace is not None
        torch.testing.assert_close(out.trace.x[n], x, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(out.trace.z[n], z, rtol=1e-3, atol=1e-3)
        assert float(out.trace.lam[n]) == lam and int(out.trace.cg_iterations[n]) > 0
    assert torch.equal(out.image, out.trace.z[-1])
    misfit = (E(out.trace.x[0]) - y).norm() / y.norm()
    torch.testing.assert_close(out.trace.consistency[0], misfit)


def test_final_consistency_adds_a_solve() -> None:
    E, y = problem()
    out = UnrolledSENSE(Half(), 2, lam=(5.0, 2.0, 3.0), final_consistency=True)(E, y, trace=True)
    assert out.trace is not None and len(out.trace.x) == 3 and len(out.trace.z) == 2
    assert torch.equal(out.image, out.trace.x[-1])
    assert float(out.trace.consistency[-1]) < float((E(out.trace.z[-1]) - y).norm() / y.norm())
    assert UnrolledSENSE(Half(), 2)(E, y).trace is None


def test_flips_average_the_prior_over_four_orientations_in_evaluation_only() -> None:
    class Shift(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.roll((1, 2), (-2, -1))

    E, y = problem()
    model = UnrolledSENSE(Shift(), 1, lam=5.0, flips=True)
    trained = model(E, y, trace=True).trace
    used = model.eval()(E, y, trace=True).trace
    x = used.x[0]
    torch.testing.assert_close(trained.z[0], x.roll((1, 2), (-2, -1)))
    every = [x.roll((rows, columns), (-2, -1)) for rows in (1, -1) for columns in (2, -2)]
    torch.testing.assert_close(used.z[0], torch.stack(every).mean(0))


def test_priors_are_separate_unless_shared() -> None:
    net = as_prior(UNet(channels=2, levels=1))
    size = sum(p.numel() for p in net.parameters())
    separate, shared = UnrolledSENSE(net, 3), UnrolledSENSE(net, 3, shared=True)
    assert sum(p.numel() for p in separate.parameters()) == 3 * size + 3
    assert sum(p.numel() for p in shared.parameters()) == size + 3
    with pytest.raises(ConfigError, match="2 priors for 3 iterations"):
        UnrolledSENSE([net, net], 3)
    with pytest.raises(ConfigError, match="iterations must be 1 or more, got 0"):
        UnrolledSENSE(net, 0, final_consistency=True)


def busy(channels: str = "complex", lam: str = "learned") -> UnrolledSENSE:
    """A cascade whose networks and schedule do something, unlike fresh ones."""
    width = {"complex": 2, "magnitude": 1, "slices": 3}[channels]
    prior = as_prior(UNet(width, width, channels=4, levels=2), channels)
    model = UnrolledSENSE(prior, 2, lam=lam, final_consistency=True)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return model


def distance(a: Tensor, b: Tensor) -> float:
    return float(((a - b).norm() / b.norm()).detach())


@pytest.mark.parametrize("amplitude", [1e-6, 1e6])
@pytest.mark.parametrize(("channels", "lam"), [("complex", "learned"), ("complex", "predicted"), ("magnitude", "tied")])
def test_amplitude_does_not_matter(channels: str, lam: str, amplitude: float) -> None:
    E, y = problem()
    model = busy(channels, lam)
    plain, scaled = model(E, y).image, model(E, amplitude * y).image / amplitude
    assert distance(scaled, plain) < 1e-5
    assert not model(E, torch.zeros_like(y)).image.any()


def test_items_of_any_amplitude_share_a_batch_and_zeros_spoil_no_gradient() -> None:
    E, y = problem((4,))
    amplitudes = torch.tensor([1.0, 1e-6, 1e6, 0.0])[:, None, None]
    model = busy(lam="predicted")
    out = model(E, amplitudes[..., None] * y, trace=True)
    for i in range(3):
        alone = model(Encoding(E.maps[i], E.mask), y[i]).image
        assert distance(out.image[i] / amplitudes[i], alone) < 1e-4
    assert not out.image[3].any()
    assert all(bool(t.isfinite().all()) for t in (*out.trace.x, *out.trace.lam, *out.trace.consistency))
    (out.image[[0, 3]] - 1).abs().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_one_model_takes_any_matrix_coils_batch_and_sets() -> None:
    model = UnrolledSENSE(as_prior(UNet(channels=2, levels=2)), 2)
    for batch, rows, columns, coils in (((), 16, 18, 4), ((2,), 20, 13, 1), ((2, 1), 9, 30, 6)):
        E, y = problem(batch, rows, columns, coils)
        assert model(E, y).image.shape == (*batch, rows, columns)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("channels", ["complex", "slices"])
def test_priors_see_map_sets_as_a_batch(batch: tuple[int, ...], channels: str) -> None:
    """A set that sees nothing stays zero and leaves the other as it is alone, also where slices see their neighbors."""
    if channels == "slices" and not batch:
        batch = (1,)
    maps = random_complex(*batch, 4, 16, 18, seed=1, dtype=SINGLE) / 4
    two = Encoding(torch.stack((maps, torch.zeros_like(maps)), dim=-4), sets=2)
    y = random_complex(*batch, 4, 16, 18, seed=2, dtype=SINGLE)
    model = busy(channels)
    image = model(two, y).image
    assert image.shape == (*batch, 2, 16, 18) and not image[..., 1, :, :].any()
    assert distance(image[..., 0, :, :], model(Encoding(maps), y).image) < 1e-5


def test_sets_of_one_slice_are_not_its_neighbors() -> None:
    maps = random_complex(2, 4, 16, 18, seed=1, dtype=SINGLE) / 4
    y = random_complex(4, 16, 18, seed=2, dtype=SINGLE)
    model = busy("slices")
    image = model(Encoding(maps, sets=2), y).image
    assert image.shape == (2, 16, 18)
    assert distance(image, model(Encoding(maps[None], sets=2), y[None]).image[0]) < 1e-6


def test_gradient_of_lambda_is_that_of_finite_differences() -> None:
    """The bias of the loose solves stays below 0.5 % of the norm of the gradient to log lambda.

    A component that is itself a hundred times smaller than the largest can be off by more than 10 % of its own size.
    """
    E, y = problem()
    target = random_complex(16, 18, seed=2, dtype=SINGLE)
    model = UnrolledSENSE(as_prior(nn.Conv2d(2, 2, 3, padding=1)), 2)
    schedule = model.schedule
    assert isinstance(schedule, Learned) and TOLERANCE == 1e-3

    def loss() -> Tensor:
        return (model(E, y).image - target).abs().square().sum()

    loss().backward()
    assert schedule.log_lam.grad is not None
    E64, y64 = E.to(torch.complex128), y.to(torch.complex128)
    model.double()
    numeric = torch.zeros(2, dtype=torch.float64)
    for n in range(2):
        values: list[float] = []
        for step in (0.02, -0.02):
            with torch.no_grad():
                schedule.log_lam[n] += step
                z: Tensor | None = None
                for k, prior in enumerate(model.priors):
                    z = prior(regularized_sense(E64, y64, z, lam=schedule(k, E64, y64), tol=1e-10).image)
                assert z is not None
                values.append(float((z - target).abs().square().sum()))
                schedule.log_lam[n] -= step
        numeric[n] = (values[0] - values[1]) / 0.04
    assert float((schedule.log_lam.grad - numeric).norm()) < 0.005 * float(numeric.norm())


def test_checkpointing_gives_the_same_gradients() -> None:
    E, y = problem()
    net = as_prior(nn.Conv2d(2, 2, 3, padding=1))
    grads = []
    for checkpointing in (False, True):
        model = UnrolledSENSE(net, 2, shared=True, checkpointing=checkpointing).train()
        model.zero_grad()
        model(E, y).image.abs().square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


# --- schedules ------------------------------------------------------------------------------------------------------


def test_schedules_by_name() -> None:
    E, y = problem()
    assert [round(float(make_schedule("table1", 6)(n, E, y)), 2) for n in range(6)] == list(NICKEL_TABLE_1)
    assert isinstance(make_schedule(3.0, 4), Constant) and float(make_schedule(3.0, 4)(2, E, y)) == 3.0
    assert isinstance(make_schedule([1.0, 2.0], 2), Fixed)
    torch.testing.assert_close(Geometric(3, 4.0, 1.0)(1, E, y), torch.tensor(2.0))
    learned = make_schedule("learned", 6)
    values = [float(learned(n, E, y).detach()) for n in range(6)]
    assert values == sorted(values, reverse=True) and abs(values[0] - 6) < 1e-4 and abs(values[-1] - 1) < 1e-4
    with pytest.raises(ConfigError, match="no lambda schedule 'wild'"):
        make_schedule("wild", 3)
    with pytest.raises(ConfigError, match="has 6 values, the cascade 3 iterations"):
        make_schedule("table1", 3)
    with pytest.raises(ConfigError, match="must be positive"):
        Fixed([1.0, 0.0])


def test_predicted_lambda_follows_acceleration_whatever_the_amplitude() -> None:
    E, y = problem((2,))
    y[1, :, :, 4:] = 0
    schedule = Predicted(3)
    with torch.no_grad():
        schedule.slopes[:, 0] = 1.0
    lam = schedule(0, E, y)
    assert lam.shape == (2,) and bool(lam[1] > lam[0])
    torch.testing.assert_close(schedule(0, E, 1e-5 * y), lam, rtol=1e-4, atol=1e-4)


def test_predicted_lambda_does_not_jump_where_the_edges_were_not_acquired() -> None:
    """As for a random mask that leaves the outer columns out: to see no noise is not to know that there is none."""
    E, y = problem((2,))
    y[1, :, :, :2] = y[1, :, :, -2:] = 0
    schedule = Predicted(3)
    with torch.no_grad():
        schedule.slopes[:, 1] = 1.0
        lam = schedule(0, E, y).tolist()
    assert lam[0] != pytest.approx(6.0, rel=0.1) and lam[1] == pytest.approx(6.0, rel=1e-5)
