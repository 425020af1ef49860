"""ESPIRiT on measured k-space: BART's maps, a folded field of view, undersampled data without hints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.data import load
from kascade.physics import ifft
from kascade.physics.calibration import calibration_region
from kascade.physics.espirit import espirit
from kascade.physics.rss import rss


def head_of(kspace: torch.Tensor) -> torch.Tensor:
    image = rss(ifft(kspace))
    return image > 0.1 * image.max()


@pytest.mark.bart
@pytest.mark.skipif(shutil.which("bart") is None, reason="the bart program is not installed")
def test_measured_brain_as_bart(real_data: Path, tmp_path: Path) -> None:
    kspace = load(real_data / "kspace" / "full.cfl").kspace[0]
    coils, rows, columns = kspace.shape
    (tmp_path / "k.hdr").write_text(f"# Dimensions\n1 {rows} {columns} {coils}\n")
    kspace.numpy().transpose(1, 2, 0)[None].ravel(order="F").tofile(tmp_path / "k.cfl")
    subprocess.run(["bart", "ecalib", "-r", "24", "-m", "1", "-c", "0", "k", "m"], cwd=tmp_path, check=True)
    theirs = np.fromfile(tmp_path / "m.cfl", np.complex64).reshape((rows, columns, coils), order="F").transpose(2, 0, 1)
    same = (espirit(kspace, (24, 24)).conj() * torch.from_numpy(theirs.copy())).sum(0).abs()
    assert float((same >= 0.999).float()[head_of(kspace)].mean()) >= 0.99


def test_two_sets_hold_a_brain_that_folds_over(real_data: Path) -> None:
    """What one set leaves of the coil images, a second one explains; soft maps know where there is nothing to."""
    kspace = torch.from_numpy(np.load(real_data / "kspace" / "brain_alias_8ch.npy"))
    images, head = ifft(kspace), head_of(kspace)

    def psnr(maps: torch.Tensor) -> float:
        """Of the combination by maps against the RSS of the coils, over the whole frame."""
        combined, target = rss((maps.conj() * images).sum(1), axis=0), rss(images)
        combined *= (combined * target).sum() / combined.square().sum()
        return float(10 * torch.log10(target.max() ** 2 / (combined - target).square().mean()))

    two = espirit(kspace, sets=2)
    assert psnr(two) > 41 and psnr(two) > psnr(two[:1]) + 5
    weight = rss(espirit(kspace, sets=2, soft=True))
    assert float(weight[0][head].mean()) > 0.9 > float(weight[0][~head].mean())
    assert float(weight[1].mean()) < 0.5 * float(weight[0].mean())


def test_calibration_lines_are_found_in_undersampled_data(real_data: Path) -> None:
    """und2x2 keeps every second sample both ways and a 20 x 20 center."""
    undersampled = load(real_data / "kspace" / "und2x2.cfl").kspace[0]
    full = load(real_data / "kspace" / "full.cfl").kspace[0]
    assert calibration_region(undersampled).shape == (8, 20, 20)
    same = (espirit(undersampled).conj() * espirit(full)).sum(0).abs()
    assert float((same >= 0.99).float()[head_of(full)].mean()) >= 0.98
