"""Cascades: data consistency and a prior network in turn, lambda schedules, and the adapter for any network."""

from __future__ import annotations

from kascade.unroll.adapter import Prior, as_prior
from kascade.unroll.cascade import CascadeOutput, Trace, UnrolledSENSE
from kascade.unroll.schedules import LambdaSchedule

__all__ = ["CascadeOutput", "LambdaSchedule", "Prior", "Trace", "UnrolledSENSE", "as_prior"]
