"""The program in this process, and small scans for it to work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.cli.main import main
from kascade.data import Scan, write_scan
from kascade.physics import fft


@dataclass(frozen=True)
class Run:
    """What one command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def kascade(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run `kascade ARGUMENTS` and give back its exit code and what it printed."""

    def run(*arguments: str | PathLike[str] | float) -> Run:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Run(int(end.value.code or 0), printed.out, printed.err)

    return run


def small_scan(name: str = "small", slices: int = 2, seed: int = 0, noise: float = 0.005) -> Scan:
    """Fully sampled scan of an ellipse with holes: 4 coils, 56 x 48; `noise` in real and in imaginary part."""
    generator = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 56), np.linspace(-1, 1, 48), indexing="ij")
    volume = []
    for index in range(slices):
        inside = (rows / 0.8) ** 2 + (columns / 0.7) ** 2 < 1 - 0.05 * index
        holes = (rows + 0.2) ** 2 + (columns - 0.2) ** 2 < 0.03
        image = (inside * (1.0 - 0.5 * holes)) * np.exp(1j * columns)
        angles = np.linspace(0, 2 * np.pi, 4, endpoint=False)
        maps = [np.exp(-((rows - np.cos(a)) ** 2 + (columns - np.sin(a)) ** 2) / 2) * np.exp(1j * a) for a in angles]
        volume.append(np.stack(maps) * image)
    kspace = fft(torch.from_numpy(np.stack(volume)))
    real, imaginary = noise * generator.standard_normal((2, *kspace.shape))
    return Scan.from_arrays(kspace + torch.from_numpy(real + 1j * imaginary), name=name)


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    """File of a small fully sampled scan."""
    path = tmp_path / "brain.h5"
    write_scan(small_scan("brain"), path)
    return path
