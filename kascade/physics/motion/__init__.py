"""Rigid motion between shots, estimated from the data: lines and levels, linearized steps, descent, estimate."""

from __future__ import annotations

from kascade.physics.motion.estimate import MotionEstimate, XStep, estimate_motion

__all__ = ["MotionEstimate", "XStep", "estimate_motion"]
