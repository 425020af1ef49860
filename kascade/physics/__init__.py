"""What the scanner did: linear operators, solvers, calibration, noise, motion. No networks, no files."""

from __future__ import annotations

from kascade.physics.coils import Coils
from kascade.physics.combine import BlockDiagonal, Stack
from kascade.physics.diagonal import Diagonal
from kascade.physics.encoding import Encoding
from kascade.physics.fourier import Fourier, fft, ifft
from kascade.physics.operator import Identity, LinearOperator, Sum
from kascade.physics.rigid_motion import RigidMotion
from kascade.physics.sampling import Sampling
from kascade.physics.sense import ConvergenceWarning, Solution, regularized_sense
from kascade.physics.shot_encoding import ShotEncoding
from kascade.physics.solvers import conjugate_gradient
from kascade.physics.thick_slices import ThickSlices

__all__ = [
    "BlockDiagonal",
    "Coils",
    "ConvergenceWarning",
    "Diagonal",
    "Encoding",
    "Fourier",
    "Identity",
    "LinearOperator",
    "RigidMotion",
    "Sampling",
    "ShotEncoding",
    "Solution",
    "Stack",
    "Sum",
    "ThickSlices",
    "conjugate_gradient",
    "fft",
    "ifft",
    "regularized_sense",
]
