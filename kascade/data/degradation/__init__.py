"""Degradations of magnitude images: motion, low resolution, noise and their mixtures, seeded and labeled."""

from __future__ import annotations

from kascade.data.degradation.degrade import Degraded, degrade, intensity_scale
from kascade.data.degradation.labels import LABELS, SEVERITIES, SOURCES, labels_of, parse_sources
from kascade.data.degradation.transforms import Degradation, LowResolution, Motion, Noise, make_degradations

__all__ = [
    "LABELS",
    "SEVERITIES",
    "SOURCES",
    "Degradation",
    "Degraded",
    "LowResolution",
    "Motion",
    "Noise",
    "degrade",
    "intensity_scale",
    "labels_of",
    "make_degradations",
    "parse_sources",
]
