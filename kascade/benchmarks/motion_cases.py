"""The scans of the motion benchmark: simulated heads, and a measured one that is moved; each at rest and in motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kascade.data import Scan, load, simulate_head
from kascade.data.simulation.acquisition import white_noise
from kascade.data.simulation.motion import FINER, moving_samples, moving_scan
from kascade.data.simulation.trajectory import SEVERITIES, random_motion, shot_order
from kascade.physics import regularized_sense
from kascade.physics.espirit import espirit
from kascade.physics.motion.level import resampled_maps, resized
from kascade.recon.setup import Setup

__all__ = ["Case", "Pair", "measured_cases", "simulated_cases", "still_cases"]

SNR, COILS, ACS = 30.0, 8, 24
SHOTS = (8, 12, 16)  # in turn over the seeds
MEASURED = "kspace/full.cfl"


@dataclass(frozen=True)
class Pair:
    """One slice: the scan in motion, with its true motion stored, and the same scan at rest, with the same noise."""

    moved: Scan
    still: Scan


@dataclass(frozen=True)
class Case:
    """One line of the benchmark.

    Attributes
    ----------
    name : str
        Of the line.
    group : {"known", "estimated", "measured", "still"}
        Table that it belongs to.
    severity, order : str
        As for `moving_scan`.
    shots, seed : int
        Number of shots; seed of head, noise and motion.
    make : callable
        Simulates the scans.
    """

    name: str
    group: str
    severity: str
    order: str
    shots: int
    seed: int
    make: Callable[[], Pair]

    @property
    def estimates(self) -> bool:
        """Whether the motion is to be estimated, too."""
        return self.group != "known"


def simulated_cases(size: int, seeds: int, known_seeds: int) -> list[Case]:
    """Heads whose motion is known, of every severity and order, then heads whose motion is to be estimated."""
    cases = []
    for severity in ("mild", "moderate", "severe"):
        for order in ("interleaved", "sequential"):
            for seed in range(known_seeds):
                cases.append(_simulated("known", size, severity, order, 16, seed))
    for seed in range(seeds):
        cases.append(_simulated("estimated", size, "severe", "interleaved", SHOTS[seed % len(SHOTS)], seed))
    return cases


def still_cases(size: int, seeds: int) -> list[Case]:
    """Heads at rest, to be left as they are."""
    return [_simulated("still", size, "still", "interleaved", 16, seed) for seed in range(seeds)]


def measured_cases(data: Path | None) -> list[Case]:
    """The measured slice of the data folder, moved; none without it."""
    if data is None or not (data / MEASURED).with_suffix(".hdr").exists():
        return []
    return [
        Case(
            f"measured-{severity}-{seed}",
            "measured",
            severity,
            "interleaved",
            16,
            seed,
            partial(_moved_slice, data / MEASURED, severity, 16, seed),
        )
        for severity, seed in (("moderate", 0), ("moderate", 1), ("severe", 0), ("severe", 1))
    ]


def _simulated(group: str, size: int, severity: str, order: str, shots: int, seed: int) -> Case:
    name = f"{group}-{severity}-{order}-{shots}-{seed}"
    make = partial(_simulate, size, severity, order, shots, seed)
    return Case(name, group, severity, order, shots, seed, make)


def _simulate(size: int, severity: str, order: str, shots: int, seed: int) -> Pair:
    position = 5.0 + 5.0 * (seed % 8)  # mm: another slice of another head
    head = simulate_head((1, size, size), coils=COILS, snr=SNR, seed=seed, slice_positions_mm=[position])
    moved, still = (moving_scan(head, name, shots, order, seed) for name in (severity, "still"))
    return Pair(_in_memory(moved), _in_memory(still))


def _moved_slice(path: Path, severity: str, shots: int, seed: int) -> Pair:
    """The coil-combined image of a measured slice, moved, with its own maps and its own noise level."""
    problem = Setup(whitening="corners").problem(load(path), 0)
    image = regularized_sense(problem.E, problem.y, lam=100.0, tol=1e-5).image
    fine = [FINER * n for n in image.shape]
    big = resized(image, (fine[0], fine[1]))
    big_maps = resampled_maps(problem.E.maps, (fine[0], fine[1]))
    which = shot_order(image.shape[-1], shots)
    motion = random_motion(shots, SEVERITIES[severity], int(which[len(which) // 2]), seed)

    def sampled(path: Tensor, noise: int) -> Tensor:
        clean = moving_samples(big, big_maps, path, which, (1.0, 1.0))
        return clean + white_noise(tuple(clean.shape), np.random.default_rng((seed, noise)))

    calibration = espirit(sampled(0 * motion, 1), acs=ACS)
    noise = torch.eye(len(calibration), dtype=torch.complex64)
    scans = [
        Scan.from_arrays(
            sampled(way, 2),
            target=image.abs(),
            maps=calibration,
            shots=which,
            motion=way,
            noise_covariance=noise,
            name=f"{severity}-{seed}",
        )
        for way in (motion, 0 * motion)
    ]
    return Pair(*scans)


def _in_memory(scan: Scan) -> Scan:
    """The scan with everything computed once."""
    assert scan.maps is not None
    return Scan.from_arrays(
        scan.kspace[0],
        target=scan.target(0),
        maps=scan.maps[0],
        shots=scan.shots,
        motion=scan.motion,
        noise_covariance=scan.noise_covariance,
        header=scan.header,
        name=scan.name,
    )
