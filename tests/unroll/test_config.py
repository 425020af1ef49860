"""Cascade configurations: what is refused, and that what is built is what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from kascade.errors import ConfigError
from kascade.nets.unet import UNet
from kascade.unroll import CascadeConfig, Prior, PriorConfig, UnrolledSENSE, build_cascade
from kascade.unroll.schedules import Constant, Fixed, Learned

SMALL = {"name": "unet", "options": {"channels": 2, "levels": 1}}


def test_an_unrolled_sense_is_built_as_asked() -> None:
    config = CascadeConfig.model_validate(
        {"prior": SMALL, "iterations": 3, "final_consistency": True, "checkpointing": True, "flips": True}
    )
    model = build_cascade(config)
    assert isinstance(model, UnrolledSENSE) and isinstance(model.schedule, Learned)
    assert (
        model.iterations == 3
        and model.schedule.iterations == 4
        and model.checkpointing
        and model.final_consistency
        and model.flips
    )
    assert len({id(prior) for prior in model.priors}) == 3
    network = model.priors[0]
    assert isinstance(network, Prior) and isinstance(network.network, UNet) and network.stride == 2


def test_shared_priors_and_lambdas() -> None:
    shared = build_cascade(CascadeConfig.model_validate({"prior": SMALL, "shared": True, "lam": 5}))
    assert isinstance(shared, UnrolledSENSE) and len({id(p) for p in shared.priors}) == 1
    assert isinstance(shared.schedule, Constant)
    listed = build_cascade(CascadeConfig.model_validate({"prior": SMALL, "iterations": 2, "lam": [5, 2.5]}))
    assert isinstance(listed, UnrolledSENSE) and isinstance(listed.schedule, Fixed)
    assert listed.schedule.lam.tolist() == [5, 2.5]


def test_prior_settings_reach_the_adapter() -> None:
    config = CascadeConfig(prior=PriorConfig(name="identity", channels="magnitude", size=20, stride=4), iterations=1)
    model = build_cascade(config)
    assert isinstance(model, UnrolledSENSE)
    prior = model.priors[0]
    assert isinstance(prior, Prior) and (prior.channels, prior.size, prior.stride) == ("magnitude", 20, 4)


def test_configurations_survive_json_and_cannot_be_changed() -> None:
    config = CascadeConfig.model_validate({"prior": SMALL, "lam": [5.0, 2.0], "iterations": 2})
    assert CascadeConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.iterations = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"iteration": 3}, "iteration\n"),
        ({"prior": {"nam": "unet"}}, "prior.nam"),
        ({"kind": "modal"}, "'unrolled-sense', 'modl' or 'varnet'"),
        ({"iterations": 0}, "greater than 0"),
        ({"lam": "wild"}, "there is no lambda schedule 'wild'"),
        ({"lam": [5.0, 2.0]}, "has 2 values, the cascade 6 iterations"),
        ({"lam": -1.0}, "must be positive"),
        ({"lam": float("nan")}, "must be positive and finite"),
        ({"lam": [5.0, float("inf")], "iterations": 2}, "must be positive and finite"),
        ({"kind": "modl", "lam": float("inf")}, "one lambda"),
        ({"prior": {"channels": "colors"}}, "'complex', 'magnitude' or 'slices'"),
        ({"kind": "modl", "final_consistency": True}, "final_consistency"),
        ({"kind": "modl", "flips": True}, "flips"),
        ({"kind": "modl", "lam": [1.0] * 6}, "one lambda"),
        ({"kind": "modl", "lam": "table1"}, "one lambda"),
        ({"kind": "varnet", "lam": 5.0}, "no lam"),
        ({"kind": "varnet", "shared": True}, "no shared"),
        ({"kind": "varnet", "checkpointing": True}, "no checkpointing"),
        ({"kind": "varnet", "prior": {"name": "restormer"}}, "give only options"),
        ({"kind": "varnet", "prior": {"options": {"channels": 4}}}, "chans, pools, sens_chans, sens_pools"),
        ({"kind": "varnet", "prior": {"options": {"chans": "4"}}}, "whole numbers"),
        ({"kind": "varnet", "prior": {"options": {"sens_pools": 5}}}, "pools up to 4, got sens_pools=5"),
    ],
)
def test_wrong_configurations_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CascadeConfig.model_validate(wrong)


def test_an_unknown_prior_is_named_when_it_is_built() -> None:
    config = CascadeConfig(prior=PriorConfig(name="gan"))
    with pytest.raises(ConfigError, match="no prior 'gan'; choose one of unet"):
        build_cascade(config)


def test_any_cascade_is_a_module() -> None:
    for kind in ("unrolled-sense", "modl"):
        assert isinstance(build_cascade(CascadeConfig.model_validate({"kind": kind, "prior": SMALL})), nn.Module)
