"""Operators and regularized SENSE against SigPy and BART."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.physics import Encoding, regularized_sense
from tests.battery import random_complex

C, R, N = 5, 24, 30


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rough unit-norm maps (coil, rows, columns), a mask (columns,) and noisy k-space (coil, rows, columns)."""
    maps = random_complex(C, R, N, seed=1, dtype=torch.complex64)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    mask = (torch.arange(N) % 3 == 0).float()
    y = mask * random_complex(C, R, N, seed=2, dtype=torch.complex64)
    return maps, mask, y


def test_encoding_equals_sigpys() -> None:
    mri = pytest.importorskip("sigpy.mri", reason="sigpy is a core dependency")
    maps, mask, _ = problem()
    weights = np.broadcast_to(mask.numpy(), (R, N))
    theirs = mri.linop.Sense(maps.numpy(), weights=weights)
    x = random_complex(R, N, seed=3, dtype=torch.complex64)
    ours = Encoding(maps, mask)(x)
    np.testing.assert_allclose(theirs * x.numpy(), ours.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lam", [0.5, 2.0])
def test_regularized_sense_equals_sigpys(lam: float) -> None:
    import sigpy.mri.app

    maps, mask, y = problem()
    a = 1 / (4 * lam**2)
    theirs = sigpy.mri.app.SenseRecon(
        y.numpy(), maps.numpy(), lamda=a, weights=np.broadcast_to(mask.numpy(), (R, N)), max_iter=200, show_pbar=False
    ).run()
    ours = regularized_sense(Encoding(maps, mask), y, lam=lam, tol=1e-6).image
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3, atol=1e-4)


def write_cfl(path: Path, array: np.ndarray) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(str(n) for n in array.shape) + "\n")
    array.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))


@pytest.mark.bart
@pytest.mark.parametrize("lam", [0.5, 2.0])
def test_regularized_sense_equals_barts(lam: float, tmp_path: Path) -> None:
    if shutil.which("bart") is None:
        pytest.skip("BART is not installed: apt-get install bart")
    maps, mask, y = problem()
    for name, array in (("y", y), ("s", maps)):
        write_cfl(tmp_path / name, array.permute(1, 2, 0)[:, :, None].numpy())
    write_cfl(tmp_path / "p", mask.expand(R, N)[:, :, None, None].numpy())
    weight = str(1 / (4 * lam**2))
    subprocess.run(
        ["bart", "pics", "-S", "-w1", "-l2", "-r", weight, "-i", "30", "-p", "p", "y", "s", "x"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    theirs = np.fromfile(tmp_path / "x.cfl", np.complex64).reshape((R, N), order="F")
    ours = regularized_sense(Encoding(maps, mask), y, lam=lam, tol=1e-6).image.numpy()
    theirs = theirs * np.sign(
        np.vdot(theirs, ours).real
    )  # BART's centered transform differs in sign where N / 2 is odd
    assert np.linalg.norm(ours - theirs) < 1e-3 * np.linalg.norm(ours)
