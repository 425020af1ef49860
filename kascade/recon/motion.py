"""What a method does about a patient who moved: nothing, undo the stored motion, or estimate it first."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kascade.data.scan import Scan
from kascade.errors import ConfigError
from kascade.physics import Encoding, ShotEncoding
from kascade.physics.motion import MotionEstimate, XStep, estimate_motion
from kascade.report.motion_figure import motion_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MOTION", "Moving", "acquired_shots", "curves_figure", "encode_motion"]

MOTION = ("none", "stored", "estimate")


@dataclass(frozen=True)
class Moving:
    """Encoding with motion.

    Attributes
    ----------
    E : Encoding or ShotEncoding
        `Encoding` where nothing moves.
    y : Tensor
        k-space, where shots that no motion explains have less weight.
    info : dict
        For the report: "source", "units", "rest" (shot relative to which motion is told), "curves" (shots, 3), and of
        an estimate "accepted", "held_out_misfit" without and with motion, and "weights" of the shots.
    """

    E: Encoding | ShotEncoding
    y: Tensor
    info: dict[str, Any]


def encode_motion(how: str, scan: Scan, y: Tensor, E: Encoding, x_step: XStep | None = None) -> Moving:
    """Give the encoding of a slice the motion of its shots.

    Parameters
    ----------
    how : {"stored", "estimate"}
        Where the motion comes from.
    scan : Scan
        With `shots`, and `motion` where that is to be taken.
    y : Tensor
        k-space of the slice as it will be solved, (coil, rows, columns).
    E : Encoding
        Its encoding without motion.
    x_step : callable, optional
        As for `estimate_motion`.

    Raises
    ------
    ConfigError
        If the scan does not say which shot acquired each column, or has no motion to take, or one of another kind.
    """
    shots = acquired_shots(scan, E.mask)
    spacing = scan.header.spacing_mm
    sizes = (1.0, 1.0) if spacing is None else (float(spacing[0]), float(spacing[1]))
    if how == "stored":
        motion = _stored(scan)
        info: dict[str, Any] = {"source": "stored", "rest": int(shots[len(shots) // 2])}
        weights = torch.ones(len(motion))
    else:
        estimate = _estimate(y, E, shots, sizes, x_step)
        if estimate.accepted and _sequential(shots):
            warnings.warn(
                "each shot is one block of columns: data of such say little about motion; do not trust the curves",
                stacklevel=2,
            )
        motion, weights = estimate.motion, estimate.weights
        info = {
            "source": "estimate",
            "rest": estimate.rest,
            "accepted": estimate.accepted,
            "held_out_misfit": [round(value, 6) for value in estimate.held_out],
            "weights": [round(value, 4) for value in weights.tolist()],
        }
        _warn_of_bad_shots(estimate)
    curves = [[round(value, 4) for value in line] for line in motion.tolist()]
    info |= {"units": "px,deg", "curves": curves}
    if not bool(motion.any()) and not bool((weights < 1).any()):
        return Moving(E, y, info)
    columns = torch.ones(y.shape[-1], device=y.device)
    if bool((weights < 1).any()):
        columns = torch.where(shots >= 0, weights[shots.clamp(min=0)].sqrt(), 1.0).to(y.device)
    mask = E.mask if bool((columns == 1).all()) else columns if E.mask is None else E.mask * columns
    moved = ShotEncoding(E.maps, motion.to(y.device), tuple(shots.tolist()), mask, sets=E.sets, spacing=sizes)
    return Moving(moved, y * columns, info)


def curves_figure(told: Sequence[Mapping[str, Any]], stored: Tensor | None, name: str) -> Figure:
    """Motion of every slice as `Moving.info` tells it, and beside an estimate that of the file, where it has one."""
    curves = {f"slice {index}": info["curves"] for index, info in enumerate(told)}
    estimated = told[0]["source"] == "estimate"
    comparable = estimated and stored is not None and tuple(stored.shape) == (len(told[0]["curves"]), 3)
    beside = stored.numpy() if comparable and stored is not None else None
    return motion_figure(curves, beside, f"{name}: motion, {'estimated' if estimated else 'stored'}")


def acquired_shots(scan: Scan, mask: Tensor | None) -> Tensor:
    """The shot of each column, int64 (columns,), once it is known that every acquired column has one.

    Raises
    ------
    ConfigError
        If the scan names no shots, or none for a column that was acquired.
    """
    where = scan.path or scan.name
    if scan.shots is None:
        raise ConfigError(
            f"{where}: no shot information, so that nothing is known of when each column was acquired; expected the "
            "data set shot, (columns,) integers; use --motion none, or add them to the file with "
            "h5py, see docs/motion.md"
        )
    acquired = torch.ones_like(scan.shots, dtype=torch.bool) if mask is None else (mask.cpu() != 0)
    acquired = acquired.reshape(-1, acquired.shape[-1]).any(0)
    lost = (acquired & (scan.shots < 0)).nonzero().flatten().tolist()
    if lost:
        shown = ", ".join(map(str, lost[:10])) + (", ..." if len(lost) > 10 else "")
        raise ConfigError(
            f"{where}: columns {shown} were acquired, but belong to no shot; expected a shot from 0 for each"
        )
    return scan.shots


def _sequential(shots: Tensor) -> bool:
    """Whether every shot has adjacent columns only."""
    blocks = torch.unique_consecutive(shots[shots >= 0])
    return len(blocks) == len(blocks.unique())


def _stored(scan: Scan) -> Tensor:
    where = scan.path or scan.name
    if scan.motion is None:
        raise ConfigError(f"{where}: no motion is stored; expected the data set motion; use --motion estimate or none")
    if scan.motion.shape[1] != 3:
        raise ConfigError(
            f"{where}: motion has {scan.motion.shape[1]} numbers for each shot; slices are reconstructed one by one, "
            "and can only be moved within their plane: expected 3, two shifts in px and an angle in degrees"
        )
    return scan.motion


def _estimate(
    y: Tensor, E: Encoding, shots: Tensor, spacing: tuple[float, float], x_step: XStep | None
) -> MotionEstimate:
    if E.sets is not None:
        raise ConfigError(f"motion cannot be estimated with {E.sets} map sets; use --sets 1")
    if E.mask is not None and E.mask.ndim != 1:
        raise ConfigError("motion can only be estimated where whole columns were acquired; this mask varies along rows")
    on_device: XStep | None = None
    if x_step is not None:
        given: Callable[..., Tensor] = x_step

        def on_device(moved: Any, kspace: Tensor) -> Tensor:
            return given(moved.to(y.device), kspace.to(y.device)).cpu()

    mask = None if E.mask is None else E.mask.cpu()
    return estimate_motion(y.cpu(), E.maps.cpu(), shots, mask, spacing, on_device)


def _warn_of_bad_shots(estimate: MotionEstimate) -> None:
    if estimate.bad_shots:
        names = ", ".join(f"{shot} (weight {float(estimate.weights[shot]):.2f})" for shot in estimate.bad_shots)
        warnings.warn(f"no rigid motion explains the data of shots {names}: they count less", stacklevel=2)
