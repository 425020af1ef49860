"""Rigid motion between shots, estimated from the data themselves together with the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kascade.physics.encoding import Encoding
from kascade.physics.motion.descent import Descent, rough_image
from kascade.physics.motion.level import make_level, resized
from kascade.physics.motion.lines import Lines
from kascade.physics.shot_encoding import ShotEncoding

__all__ = ["MotionEstimate", "XStep", "estimate_motion"]

XStep = Callable[[Encoding | ShotEncoding, Tensor], Tensor]
"""Makes an image of k-space: x_step(E, y) -> image (rows, columns), such as a trained cascade."""

FRACTIONS = (0.25, 0.5, 1.0)
ITERATIONS = (40, 8, 3)  # largest number of steps at each of them
PRECISION = (0.02, 0.01, 0.01)  # px of the full matrix and degrees: smaller steps end a level
X_STEPS = 2
HELD_OUT_GAIN = 0.98  # of the held-out misfit without motion that must be reached


@dataclass(frozen=True)
class MotionEstimate:
    """What `estimate_motion` found.

    Attributes
    ----------
    motion : Tensor
        (shots, 3) as for `RigidMotion`, relative to shot `rest`; zero where it was not accepted.
    weights : Tensor
        (shots,): 1, or less for shots that no motion explains.
    rest : int
        The shot that acquired the center of k-space.
    accepted : bool
        Whether lines that were held out are predicted better with this motion than without any.
    held_out : tuple of float
        Misfit ||E x - y|| / ||y|| of those lines without motion and with it.
    misfits : Tensor
        (shots,): squared residual over what noise and model errors explain, 1 for the median shot.
    history : list of dict
        Every step: "fraction" of k-space, "cost", "step" (largest change, px or degrees), "cg_iterations".
    """

    motion: Tensor
    weights: Tensor
    rest: int
    accepted: bool
    held_out: tuple[float, float]
    misfits: Tensor
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def bad_shots(self) -> list[int]:
        """Shots with less than full weight."""
        return (self.weights < 1).nonzero().flatten().tolist()


@torch.no_grad()
def estimate_motion(
    y: Tensor,
    maps: Tensor,
    shots: Sequence[int] | Tensor,
    mask: Tensor | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    x_step: XStep | None = None,
) -> MotionEstimate:
    """Estimate the motion of each shot of one 2-D slice.

    Minimizes the sum over shots of ||M_s (F C T_s x - y)||^2 over image and motion, by Levenberg-Marquardt steps on
    both together, which are those of the variable-projected cost (see `kascade.physics.motion.step`). From coarse to
    fine: the center of k-space first. Shots that no motion explains get a smaller weight. A few lines are held out:
    unless the motion predicts them better than none does, none is reported.

    Parameters
    ----------
    y : Tensor
        k-space, complex (coil, rows, columns), best with white noise.
    maps : Tensor
        Coil maps of the same shape, from a calibration without motion.
    shots : sequence of int or Tensor
        (columns,): shot of each column, from 0; -1 for none.
    mask : Tensor, optional
        Real (columns,): 0 where a column was not acquired.
    spacing : tuple of float
        Pixel sizes along rows and columns.
    x_step : callable, optional
        Where given, the image is at last pulled towards that of this function, instead of towards zero, and motion is
        refined; what predicts the held-out lines better is kept.

    Returns
    -------
    MotionEstimate

    Raises
    ------
    ShapeError
        If the pieces do not fit each other.
    ConfigError
        If there is one shot alone, or a shot without columns.

    References
    ----------
    Cordero-Grande et al., IEEE TCI 2 (2016) and MRM 83 (2020); Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973).
    """
    lines = Lines.of(y, maps, shots, mask, spacing)
    motion, weights = torch.zeros(lines.count, 3, dtype=maps.real.dtype), torch.ones(lines.count, dtype=maps.real.dtype)
    if not bool(y.any()):
        return MotionEstimate(motion, weights, lines.rest, False, (0.0, 0.0), weights)
    known = torch.zeros(lines.count, dtype=torch.bool)
    x: Tensor | None = None
    history: list[dict[str, float]] = []
    for fraction, iterations, precision in zip(FRACTIONS, ITERATIONS, PRECISION, strict=True):
        level = make_level(y, maps, lines.columns, fraction, spacing)
        here = torch.tensor([len(own) > 0 for own in level.columns])
        motion = _carried_over(motion, known, here)
        known |= here
        x = rough_image(level, motion, weights, None if x is None else resized(x, level.shape))
        free = (here & (torch.arange(lines.count) != lines.rest)).to(motion.dtype).unsqueeze(1)
        descent = Descent(level, free, iterations, precision, fraction, history)
        x, motion = descent.run(x, motion, weights)
        weights = descent.weights(x, motion)
        if bool((weights < 1).any()):
            x, motion = descent.run(x, motion, weights)
            weights = descent.weights(x, motion)
    assert x is not None
    found = lines.held_out_misfit(motion, weights, x)
    if x_step is not None:
        image, refined = x, motion
        for _ in range(X_STEPS):
            E = lines.encoding(refined, weights)
            image = x_step(E, lines.used(weights))
            image, refined = descent.run(image, refined, weights, image)
        better = lines.held_out_misfit(refined, weights, image)
        if better < found:
            x, motion, found = image, refined, better
    still = lines.held_out_misfit(torch.zeros_like(motion), weights, x)
    misfits = descent.misfits(x, motion)
    accepted = found < HELD_OUT_GAIN * still
    if not accepted:
        motion, weights = torch.zeros_like(motion), torch.ones_like(weights)
    return MotionEstimate(motion, weights, lines.rest, accepted, (still, found), misfits, history)


def _carried_over(motion: Tensor, known: Tensor, here: Tensor) -> Tensor:
    """Motion of shots that are new: that of the nearest one (in time) that is known."""
    if not bool(known.any()):
        return motion
    sources = known.nonzero().flatten()
    motion = motion.clone()
    for shot in (here & ~known).nonzero().flatten().tolist():
        motion[shot] = motion[sources[(sources - shot).abs().argmin()]]
    return motion
