"""Kernels that run on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kascade.physics import kernels
from kascade.physics.kernels import launch
from tests.physics.kernels.emulator import Emulator


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """All complex64 tensors go through the kernels, which g++ compiles."""
    emulator = Emulator()

    def fit(*tensors: Tensor) -> bool:
        return all(t.dtype == torch.complex64 for t in tensors)

    monkeypatch.setattr(launch, "launch", emulator)
    monkeypatch.setattr(kernels, "fit", fit)
    return emulator
