"""Training examples, simulated from images on the fly or cut from fully sampled scans."""

from __future__ import annotations

from kascade.train.examples.config import DataConfig
from kascade.train.examples.dataset import Example, Examples, TrainingData

__all__ = ["DataConfig", "Example", "Examples", "TrainingData"]
