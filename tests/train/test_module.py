from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from kascade.errors import ConfigError
from kascade.train.batches import stack
from kascade.train.losses import l1_loss
from kascade.train.module import CascadeTraining, copy_priors, learning_rate_factor
from kascade.train.precision import MixedPrior, use_bfloat16
from kascade.unroll import LambdaSchedule, build_cascade
from tests.train.tiny import example, tiny_recipe


def test_the_learning_rate_rises_and_falls() -> None:
    factors = [learning_rate_factor(step, 10, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert max(factors) == 1 and factors[10] == 1
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5) and factors[100] == pytest.approx(0)
    assert learning_rate_factor(0, 0, 1) == 1


def test_lambdas_have_their_own_rate_and_no_decay() -> None:
    training = CascadeTraining(tiny_recipe(training={"weight_decay": 0.1, "lambda_learning_rate": 0.5}))
    groups = training.configure_optimizers()["optimizer"].param_groups
    networks, lambdas = groups
    schedule = next(m for m in training.model.modules() if isinstance(m, LambdaSchedule))
    assert {id(p) for p in lambdas["params"]} == {id(p) for p in schedule.parameters()}
    assert (lambdas["initial_lr"], lambdas["weight_decay"], networks["weight_decay"]) == (0.5, 0, 0.1)
    everything = {id(p) for p in training.model.parameters()}
    assert {id(p) for group in groups for p in group["params"]} == everything


def test_cascades_without_learned_lambdas_are_trained() -> None:
    groups = CascadeTraining(tiny_recipe(model={"lam": 2.0})).configure_optimizers()["optimizer"].param_groups
    assert [group["name"] for group in groups] == ["networks"]


def test_the_average_is_exponential_and_begins_as_a_mean() -> None:
    training = CascadeTraining(tiny_recipe(training={"ema": 0.5}))
    parameter, average = next(training.model.parameters()), next(training.average.module.parameters())
    expected = torch.zeros_like(parameter)
    for step in range(12):
        with torch.no_grad():
            parameter.fill_(float(step))
        training.on_train_batch_end(None, [], step)
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * step
        torch.testing.assert_close(average, expected)
    assert training.best_known is training.average.module
    assert CascadeTraining(tiny_recipe(training={"ema": 0})).average is None


def test_the_seed_decides_the_first_weights() -> None:
    one, same, other = (CascadeTraining(tiny_recipe(training={"seed": s})).model.state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_bfloat16_is_for_networks_only() -> None:
    recipe = tiny_recipe()
    torch.manual_seed(0)
    plain, mixed = build_cascade(recipe.model), build_cascade(recipe.model)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # the last layer of a fresh network is zero
    mixed.load_state_dict(plain.state_dict())
    use_bfloat16(mixed)
    assert mixed.state_dict().keys() == plain.state_dict().keys()
    seen: list[torch.dtype] = []
    for module in mixed.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    (problem,) = stack([example(0)])
    image, expected = mixed(problem.E, problem.y).image, plain(problem.E, problem.y).image
    assert set(seen) == {torch.bfloat16} and image.dtype == torch.complex64
    assert all(p.dtype == torch.float32 for p in mixed.parameters())
    distance = float((image - expected).detach().norm() / expected.detach().norm())
    assert 0 < distance < 0.05
    image.abs().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in mixed.parameters())


def test_a_shared_prior_stays_shared_in_bfloat16() -> None:
    cascade = build_cascade(tiny_recipe(model={"shared": True}).model)
    use_bfloat16(cascade)
    assert len({id(m) for m in cascade.modules() if isinstance(m, MixedPrior)}) == 1


def test_bfloat16_without_a_prior_is_refused() -> None:
    with pytest.raises(ConfigError, match="use float32"):
        use_bfloat16(nn.Linear(1, 1))


def test_with_a_loss_of_every_iteration_each_network_learns_from_its_own_image() -> None:
    training = CascadeTraining(tiny_recipe(loss={"l1": 1.0, "every_iteration": 0.5}))
    training.log = lambda *_, **__: None
    with torch.no_grad():
        for parameter in training.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    drawn = example(0)
    (problem,) = stack([drawn])
    output = training.model(problem.E, problem.y, trace=True)
    first, final = (l1_loss(z, problem.target) for z in output.trace.z)
    loss = training.training_step([drawn], 0)
    torch.testing.assert_close(loss, (final + 0.5 * (first + final) / 2).squeeze())
    without = CascadeTraining(tiny_recipe())
    without.model.load_state_dict(training.model.state_dict())
    without.log = training.log
    gradients = []
    for module in (training, without):
        module.training_step([drawn], 0).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in module.model.priors[0].parameters()]))
    assert (gradients[0] - gradients[1]).norm() > 0.01 * gradients[1].norm()


def test_priors_start_from_those_of_another_cascade() -> None:
    one, three = (build_cascade(tiny_recipe(model={"iterations": n}).model) for n in (1, 3))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(torch.randn_like(parameter))
    copy_priors(one, three, "one")
    for prior in three.priors:
        for name, tensor in prior.state_dict().items():
            assert torch.equal(tensor, one.priors[0].state_dict()[name])
    two = build_cascade(tiny_recipe(model={"iterations": 2}).model)
    with pytest.raises(ConfigError, match="has 3 priors, the recipe's model 2"):
        copy_priors(three, two, "three")
    other = build_cascade(tiny_recipe(model={"prior": {"name": "unet", "options": {"channels": 3}}}).model)
    with pytest.raises(ConfigError, match="use the same name and options"):
        copy_priors(one, other, "one")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["unrolled-sense", "modl"])
def test_batches_of_unequal_sizes_give_the_mean_over_examples(kind: str, checkpointing: bool) -> None:
    recipe = tiny_recipe(model={"kind": kind, "checkpointing": checkpointing}, loss={"l1": 1.0, "ssim": 1.0})
    training = CascadeTraining(recipe)
    training.log = lambda *_, **__: None
    batch = [example(0), example(1, columns=28), example(2)]
    whole = training.training_step(batch, 0)
    whole.backward()
    gradients = [p.grad.clone() for p in training.model.parameters()]
    training.model.zero_grad()
    single = torch.stack([training.training_step([drawn], 0) for drawn in batch]).mean()
    single.backward()
    torch.testing.assert_close(whole, single, rtol=1e-4, atol=1e-5)
    for gradient, p in zip(gradients, training.model.parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad, rtol=2e-2, atol=1e-3)
    assert math.isfinite(float(whole.detach()))
