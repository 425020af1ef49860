"""The names of degradations, and the labels that a classifier learns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kascade.errors import ConfigError

__all__ = ["CLEAN", "LABELS", "SEVERITIES", "SOURCES", "labels_of", "parse_sources"]

SOURCES = ("motion", "low-resolution", "noise")
CLEAN = "clean"
LABELS = (*SOURCES, CLEAN)
"""What each value of a label vector stands for; several degradations make several ones (multi-hot)."""

SEVERITIES = ("mild", "moderate", "severe")


def parse_sources(text: str) -> tuple[str, ...]:
    """Sources of one mixture, such as ``motion+noise``, in the order of `SOURCES`; ``clean`` is the empty mixture.

    Raises
    ------
    ConfigError
        If a name is unknown or given twice.
    """
    names = [name.strip() for name in text.split("+")]
    if names == [CLEAN]:
        return ()
    if len(set(names)) < len(names) or not set(names) <= set(SOURCES):
        raise ConfigError(f"degradation {text!r}: expected clean, or some of {', '.join(SOURCES)} joined by +")
    return tuple(source for source in SOURCES if source in names)


def labels_of(sources: Sequence[str]) -> Tensor:
    """Label vector of a mixture, float32 (4,): ones at its sources, or at "clean" where there is none."""
    names = sources or (CLEAN,)
    return torch.tensor([float(label in names) for label in LABELS])
