"""Simulated scans of a head that moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kascade.data import Scan, load, simulate_head, simulate_scan, write_scan
from kascade.data.simulation.motion import moving_scan
from kascade.errors import ConfigError, ShapeError
from kascade.physics import ShotEncoding, ifft


def smooth_image(shape: tuple[int, int]) -> np.ndarray:
    """Two blobs, well inside the field of view."""
    y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    image = np.exp(-((y + 3) ** 2 + x**2) / 30) + 0.5 * np.exp(-((y - 6) ** 2 + (x - 4) ** 2) / 10)
    return image.astype(np.float32)


@pytest.mark.parametrize("shape", [(48, 40), (45, 41)])
def test_k_space_is_that_of_the_moving_object_but_for_the_discretization(shape: tuple[int, int]) -> None:
    still = simulate_scan(smooth_image(shape), coils=4, snr=np.inf, seed=3, phase_rad=0.3, fov_mm=240.0)
    motion = torch.tensor([[0.0, 0.0, 0.0], [1.3, -0.8, 3.0], [-0.6, 1.1, -2.0]])
    scan = moving_scan(still, motion, order="interleaved", true_maps=True)
    assert scan.shots is not None and still.maps is not None
    spacing = (240 / shape[0], 240 / shape[1])
    truth = still.kspace[0]
    at_rest = torch.linalg.vector_norm(moving_scan(still, 0 * motion).kspace[0] - truth)
    assert float(at_rest) < 0.02 * float(truth.norm())
    E = ShotEncoding(still.maps[0], motion, scan.shots.tolist(), spacing=spacing)
    image = (still.maps[0].conj() * ifft(truth)).sum(0)
    expected = E(image)
    assert float((scan.kspace[0] - expected).norm()) < 0.03 * float(expected.norm())
    assert float((scan.kspace[0] - truth).norm()) > 0.1 * float(truth.norm())


def test_the_target_is_the_object_at_rest_and_the_maps_know_nothing_of_the_motion() -> None:
    still = simulate_head((1, 48, 48), coils=4, seed=1, slice_positions_mm=[20.0], readout_oversampling=2.0)
    a, b = (moving_scan(still, severity, 4, seed=2) for severity in ("still", "severe"))
    assert a.maps is not None and b.maps is not None and a.targets is not None and b.targets is not None
    assert torch.equal(a.maps[0], b.maps[0]) and torch.equal(a.targets[0], b.targets[0])
    assert a.targets[0].shape == (48, 48) and a.kspace.shape == (1, 4, 96, 48)
    assert not torch.allclose(a.kspace[0], b.kspace[0])
    noise = a.kspace[0] - a.kspace.source.noiseless(0)
    torch.testing.assert_close(noise, still.kspace.source.noise(0), rtol=1e-4, atol=1e-5)


def test_it_survives_its_file(tmp_path) -> None:
    still = simulate_head((2, 32, 32), coils=3, seed=1)
    scan = moving_scan(still, "mild", 4, "sequential", seed=5)
    write_scan(scan, tmp_path / "moved.h5")
    read = load(tmp_path / "moved.h5")
    assert read.shots is not None and read.motion is not None and scan.shots is not None and scan.motion is not None
    assert torch.equal(read.shots, scan.shots) and torch.equal(read.motion, scan.motion)
    assert torch.equal(read.kspace[1], scan.kspace[1])


def test_wrong_arguments() -> None:
    still = simulate_head((1, 32, 32), coils=3)
    with pytest.raises(ConfigError, match="expected one of still, mild"):
        moving_scan(still, "wild")
    with pytest.raises(ConfigError, match="order of shots 'random'"):
        moving_scan(still, "mild", order="random")
    with pytest.raises(ConfigError, match="40 shots for 32 columns"):
        moving_scan(still, "mild", shots=40)
    with pytest.raises(ShapeError, match=r"expected \(shots, 3\)"):
        moving_scan(still, torch.zeros(4, 6))
    with pytest.raises(ConfigError, match="as simulate_scan gives it"):
        moving_scan(Scan.from_arrays(torch.zeros(1, 2, 8, 8, dtype=torch.complex64)), "mild")
