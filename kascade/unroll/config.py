"""Cascades as configuration: what a recipe says and a weights file remembers, and the module that it describes."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from kascade.unroll.cascade import UnrolledSENSE
from kascade.unroll.registry import make_prior
from kascade.unroll.schedules import make_schedule

__all__ = ["CascadeConfig", "PriorConfig", "build_cascade"]

_VARNET_OPTIONS = {"chans": math.inf, "pools": 4, "sens_chans": math.inf, "sens_pools": 4}
"""Largest values: fastMRI pads images to multiples of 16, which can be halved four times."""


class PriorConfig(BaseModel):
    """A prior network by name.

    Attributes
    ----------
    name : str
        One of `kascade.priors()`.
    options : dict
        Arguments of the network.
    channels, size, stride
        As in `as_prior`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "unet"
    options: dict[str, Any] = Field(default_factory=dict)
    channels: Literal["complex", "magnitude", "slices"] = "complex"
    size: int | None = Field(default=None, ge=2)
    stride: PositiveInt | None = None


class CascadeConfig(BaseModel):
    """A cascade; `build_cascade` makes it.

    Attributes
    ----------
    kind : {"unrolled-sense", "modl", "varnet"}
        `UnrolledSENSE`, `MoDL` or `VarNet`.
    prior : PriorConfig
        For "varnet" only `options` count: chans, pools, sens_chans, sens_pools.
    iterations : int
        Number of iterations (cascades).
    lam : str, float or list of float
        As in `UnrolledSENSE`; "modl" has one for all iterations, "varnet" none.
    shared : bool
        One prior for all iterations; "modl" always shares its prior, "varnet" never does.
    final_consistency : bool
        End with one more SENSE step ("unrolled-sense" only; "modl" ends with one by nature).
    checkpointing : bool
        Recompute priors in the backward pass; not for "varnet".
    flips : bool
        Average each prior over four flips when it is used, not while it trains ("unrolled-sense" only).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["unrolled-sense", "modl", "varnet"] = "unrolled-sense"
    prior: PriorConfig = Field(default_factory=PriorConfig)
    iterations: PositiveInt = 6
    lam: str | float | list[float] = "learned"
    shared: bool = False
    final_consistency: bool = False
    checkpointing: bool = False
    flips: bool = False

    @model_validator(mode="after")
    def _check(self) -> CascadeConfig:
        if self.kind == "unrolled-sense":
            make_schedule(self.lam, self.iterations + int(self.final_consistency))
        else:
            for name in ("final_consistency", "flips"):
                if getattr(self, name):
                    raise ValueError(f'{name} is for kind "unrolled-sense" only; leave it out')
        one = self.lam in ("learned", "tied") or (isinstance(self.lam, float) and 0 < self.lam < math.inf)
        if self.kind == "modl" and not one:
            raise ValueError(
                f'kind "modl" has one lambda: lam must be "learned" or a positive number, got {self.lam!r}'
            )
        if self.kind == "varnet":
            self._check_varnet()
        return self

    def _check_varnet(self) -> None:
        for name, default in (("lam", "learned"), ("shared", False), ("checkpointing", False)):
            if getattr(self, name) != default:
                raise ValueError(f'kind "varnet" has no {name}; leave it out')
        if self.prior.model_copy(update={"options": {}}) != PriorConfig():
            raise ValueError('kind "varnet" brings its own networks: of prior give only options')
        for name, value in self.prior.options.items():
            if type(value) is not int or not 1 <= value <= _VARNET_OPTIONS.get(name, 0):
                raise ValueError(
                    f'kind "varnet" takes the prior options {", ".join(_VARNET_OPTIONS)}, whole numbers from 1, pools '
                    f"up to 4, got {name}={value!r}"
                )


def build_cascade(config: CascadeConfig) -> nn.Module:
    """Build a cascade with fresh weights.

    Parameters
    ----------
    config : CascadeConfig

    Returns
    -------
    nn.Module
        Called as `model(E, y, trace=False)`, it returns a `CascadeOutput`.

    Raises
    ------
    ConfigError
        If there is no such prior, or it refuses its options.
    MissingExtraError
        If "varnet" is asked for and the fastmri package is not installed.
    """
    prior = config.prior
    if config.kind == "varnet":
        from kascade.unroll.varnet import VarNet

        return VarNet(config.iterations, **prior.options)
    network = make_prior(prior.name, prior.channels, prior.size, prior.stride, prior.options)
    if config.kind == "modl":
        from kascade.unroll.modl import MoDL

        assert not isinstance(config.lam, list)  # refused by CascadeConfig
        return MoDL(network, config.iterations, config.lam, checkpointing=config.checkpointing)
    return UnrolledSENSE(
        network,
        config.iterations,
        config.lam,
        config.shared,
        config.final_consistency,
        config.checkpointing,
        config.flips,
    )
