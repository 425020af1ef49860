"""When a simulated head moves, and how: the order of shots, and random motion between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kascade.errors import ConfigError

__all__ = ["ORDERS", "SEVERITIES", "random_motion", "shot_order"]

SEVERITIES = {"still": 0.0, "mild": 1.0, "moderate": 2.5, "severe": 5.0}
"""Largest shift in px and largest angle in degrees, relative to the shot that acquired the center of k-space."""

ORDERS = ("interleaved", "sequential")
JUMPS, JUMP = 0.25, 4.0  # share of the steps between shots that are sudden, and their size relative to the others


def shot_order(columns: int, shots: int, order: str = "interleaved") -> Tensor:
    """Which shot acquires which column.

    Parameters
    ----------
    columns : int
        Columns of k-space.
    shots : int
        Number of shots.
    order : str
        ``interleaved``: every shot takes each `shots`-th column; ``sequential``: one block after the other.

    Returns
    -------
    Tensor
        int64 (columns,), from 0.

    Raises
    ------
    ConfigError
        If there is no such order, or there are more shots than columns or none.
    """
    if not 1 <= shots <= columns:
        raise ConfigError(f"{shots} shots for {columns} columns: expected 1 to {columns}")
    if order not in ORDERS:
        raise ConfigError(f"order of shots {order!r}: expected one of {', '.join(ORDERS)}")
    column = torch.arange(columns)
    return column % shots if order == "interleaved" else column * shots // columns


def random_motion(shots: int, largest: float, rest: int = 0, seed: int = 0) -> Tensor:
    """Motion of a head in the plane: small steps between shots, and sudden ones.

    Parameters
    ----------
    shots : int
        Number of shots.
    largest : float
        Largest shift along rows and along columns in px, and largest angle in degrees: each of the three reaches it.
    rest : int
        The shot relative to which the others are told.
    seed : int
        Equal seeds give equal motion, whose size `largest` scales.

    Returns
    -------
    Tensor
        float32 (shots, 3), as for `kascade.physics.RigidMotion`; zero for shot `rest`.
    """
    rng = np.random.default_rng((seed, 12))
    sudden = rng.random((shots, 1)) < JUMPS
    walk = np.cumsum(rng.standard_normal((shots, 3)) * np.where(sudden, JUMP, 1.0), axis=0)
    walk -= walk[rest]
    return torch.from_numpy(largest * walk / np.abs(walk).max(axis=0).clip(min=1e-9)).to(torch.float32)
