"""Cascades: data consistency and a prior network in turn, lambda schedules, and the adapter for any network."""

from __future__ import annotations

from kascade.unroll.adapter import Prior, as_prior
from kascade.unroll.cascade import CascadeOutput, Trace, UnrolledSENSE
from kascade.unroll.config import CascadeConfig, PriorConfig, build_cascade
from kascade.unroll.registry import make_prior, priors
from kascade.unroll.schedules import LambdaSchedule
from kascade.unroll.weights import TrainedModel, load_model, save_model

__all__ = [
    "CascadeConfig",
    "CascadeOutput",
    "LambdaSchedule",
    "Prior",
    "PriorConfig",
    "Trace",
    "TrainedModel",
    "UnrolledSENSE",
    "as_prior",
    "build_cascade",
    "load_model",
    "make_prior",
    "priors",
    "save_model",
]
