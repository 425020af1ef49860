"""Rigid motion of an image as an operator: rotation by shears, translation by phase ramps, all by FFT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from kascade.errors import ConfigError, ShapeError
from kascade.physics.operator import LinearOperator

__all__ = [
    "PADDING",
    "RigidMotion",
    "Shear",
    "adjoint_shears",
    "check_motion",
    "motion_count",
    "motion_shears",
    "run_shears",
]

PADDING = 1.25  # field of view in which images are moved, over their own
LARGEST_TURN_DEG = 45.0  # one rotation by three shears; larger ones are done in equal parts

# Planar rotations in the order of their application: u and v, axes counted from the end, and those of the two along
# which their last shears also translate. A positive angle turns u towards v. In 3-D: about depth, rows, columns.
_PLANES: dict[int, tuple[tuple[int, int, tuple[int, ...]], ...]] = {
    2: ((-1, -2, (-1, -2)),),
    3: ((-1, -2, ()), (-3, -1, (-1,)), (-2, -3, (-2, -3))),
}

Shear = tuple[int, Tensor]
"""Axis along which lines are shifted, and the phases that do it, broadcast against the spectrum of the image."""


@dataclass(frozen=True, eq=False, repr=False)
class RigidMotion(LinearOperator):
    """Rotation about the center pixel (n // 2 of each axis), then translation, of an image.

    Every factor is a DFT or a multiplication by phases, so that the adjoint is exact in floating point. Unpadded, lines
    wrap around and the operator is unitary; padded, the image is moved in a larger field of view and cut again: what
    leaves it is lost, and the norm is at most 1.

    Parameters
    ----------
    parameters : Tensor
        Real. 2-D: (*batch, 3), shift along rows and along columns in px, angle in degrees; a positive angle turns the
        column axis towards the row axis (clockwise on screen). 3-D: (*batch, 6), shifts along depth, rows, columns
        in px, then angles in degrees about depth, rows and columns, applied in this order.
    shape : tuple of int
        One image, (rows, columns) or (depth, rows, columns), perhaps with further axes in front (map sets) that move
        alike.
    ndim : int
        Spatial axes, 2 or 3.
    padding : float
        Field of view of the motion over that of the image; 1: none.
    spacing : tuple of float
        Pixel sizes along the spatial axes, in any common unit; empty: all equal. Where they differ, the object turns,
        not the grid.

    Raises
    ------
    ShapeError
        If `parameters` is not real with 3 (2-D) or 6 (3-D) finite numbers for each motion, or `shape` has too few axes.
    ConfigError
        If `padding` is less than 1.

    References
    ----------
    Unser, Thevenaz and Yaroslavsky, IEEE TIP 4 (1995): rotation by three shears; Cordero-Grande et al., IEEE TCI 2
    (2016): motion of this kind in multi-shot MRI.
    """

    parameters: Tensor
    shape: tuple[int, ...]
    ndim: int = 2
    padding: float = PADDING
    spacing: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = motion_count(self.ndim)
        if self.parameters.is_complex() or self.parameters.ndim < 1 or self.parameters.shape[-1] != count:
            raise ShapeError(
                f"RigidMotion: parameters are {self.parameters.dtype} {tuple(self.parameters.shape)}; expected real "
                f"(*batch, {count}): {self.ndim} shifts in px, then {count - self.ndim} angles in degrees"
            )
        check_motion("RigidMotion", self.parameters)
        if len(self.shape) < self.ndim:
            raise ShapeError(f"RigidMotion: shape is {tuple(self.shape)}; expected {self.ndim} spatial axes")
        if not self.padding >= 1:
            raise ConfigError(f"RigidMotion: padding is {self.padding}; expected 1 (none, lines wrap) or more")
        if self.spacing and (len(self.spacing) != self.ndim or not all(0 < d < math.inf for d in self.spacing)):
            raise ConfigError(f"RigidMotion: spacing is {self.spacing}; expected {self.ndim} positive pixel sizes")
        object.__setattr__(self, "unitary", self.padding == 1)

    @property
    def domain_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.parameters.shape[:-1])

    def shears(self) -> list[Shear]:
        """What is done to an image, in order; see `run_shears`."""
        inner = (1,) * (len(self.shape) - self.ndim)
        return motion_shears(self.parameters, self.shape[-self.ndim :], self.padding, self.spacing, inner)

    def _apply(self, x: Tensor) -> Tensor:
        return run_shears(x, _as(x.dtype, self.shears()), self.shape[-self.ndim :])

    def _adjoint(self, y: Tensor) -> Tensor:
        return run_shears(y, _as(y.dtype, adjoint_shears(self.shears())), self.shape[-self.ndim :])


def _as(dtype: torch.dtype, shears: Sequence[Shear]) -> list[Shear]:
    """Phases in the precision of the image."""
    return [(axis, phases.to(dtype) if dtype.is_complex else phases) for axis, phases in shears]


def check_motion(name: str, motion: Tensor) -> None:
    """Refuse motion of an operator `name` that no phases can be made of.

    Raises
    ------
    ShapeError
        If it is neither float32 nor float64, empty, or not finite.
    """
    if not motion.numel():
        raise ShapeError(f"{name}: motion is {tuple(motion.shape)}; expected one or more")
    if motion.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"{name}: motion is {motion.dtype}; expected float32 or float64, in px and degrees")
    if not bool(motion.detach().isfinite().all()):
        raise ShapeError(f"{name}: motion is not finite; expected shifts in px and angles in degrees")


def motion_count(ndim: int) -> int:
    """Numbers of one rigid motion: 3 in 2-D, 6 in 3-D."""
    if ndim not in (2, 3):
        raise ConfigError(f"rigid motion has 2 or 3 spatial axes, got ndim={ndim}")
    return 3 * ndim - 3


def padded_size(size: int, padding: float) -> int:
    """Length of an axis in the padded field of view: at least `padding` times, without large prime factors."""
    if padding == 1:
        return size
    length = math.ceil(padding * size)
    while not _is_smooth(length):
        length += 1
    return length


def motion_shears(
    parameters: Tensor,
    space: Sequence[int],
    padding: float = PADDING,
    spacing: Sequence[float] = (),
    inner: tuple[int, ...] = (),
) -> list[Shear]:
    """Shears of a rigid motion, first to last.

    A rotation by the angle t in the plane (u, v) is U(-tan(t/2)) V(sin t) U(-tan(t/2)), U(a) shifting along u by a v,
    V(b) along v by b u; translations along u and v go into the last two.

    Parameters
    ----------
    parameters : Tensor
        As for `RigidMotion`.
    space : sequence of int
        Spatial axes of the image.
    padding, spacing
        As for `RigidMotion`.
    inner : tuple of int
        Ones, for axes between the batch and the spatial axes.

    Returns
    -------
    list of (int, Tensor)
        Axis of the shift, counted from the end, and phases (*batch, *inner, *space), an axis that the shear does not
        touch being 1 long.
    """
    ndim = len(space)
    shifts, angles = parameters[..., :ndim], parameters[..., ndim:].deg2rad()
    parts = max(1, math.ceil(float(angles.detach().abs().max()) / math.radians(LARGEST_TURN_DEG)))
    size = spacing or (1.0,) * ndim
    lines: list[tuple[int, int, Tensor, Tensor | None]] = []  # along, across, slope, offset
    for (u, v, translated), angle in zip(_PLANES[ndim], angles.unbind(-1), strict=True):
        a, b = -torch.tan(angle / parts / 2) * (size[v] / size[u]), torch.sin(angle / parts) * (size[u] / size[v])
        lines += [(u, v, a, None), (v, u, b, None), (u, v, a, None)] * parts
        if translated:
            shift_v = shifts[..., v]
            shift_u = shifts[..., u] if u in translated else torch.zeros_like(shift_v)
            lines[-2:] = [(v, u, b, shift_v), (u, v, a, shift_u - a * shift_v)]
    padded = _padded_lengths([line[0] for line in lines], space, padding)
    shears = []
    for (along, across, slope, offset), lengths in zip(lines, padded, strict=True):
        sizes = [n if axis in (along, across) else 1 for axis, n in zip(range(-ndim, 0), lengths, strict=True)]
        shears.append((along, _phases(along, across, slope, offset, sizes, inner)))
    return shears


def _padded_lengths(axes: Sequence[int], space: Sequence[int], padding: float) -> list[list[int]]:
    """Length of each axis during each shear: an axis is padded from the first shear along it to the last one."""
    lengths = []
    for number in range(len(axes)):
        done, left = axes[: number + 1], axes[number:]
        lengths.append(
            [
                padded_size(n, padding) if axis in done and axis in left else n
                for axis, n in zip(range(-len(space), 0), space, strict=True)
            ]
        )
    return lengths


def _phases(
    along: int, across: int, slope: Tensor, offset: Tensor | None, sizes: Sequence[int], inner: tuple[int, ...]
) -> Tensor:
    """exp(-2 pi i k (slope p + offset)), k in cycles per px along one axis, p the position along the other."""
    frequency, position, outer = [1] * len(sizes), [1] * len(sizes), (*slope.shape, *inner, *(1,) * len(sizes))
    frequency[along], position[across] = sizes[along], sizes[across]
    k = torch.fft.fftfreq(sizes[along], dtype=slope.dtype, device=slope.device).reshape(frequency)
    p = torch.arange(sizes[across], dtype=slope.dtype, device=slope.device) - sizes[across] // 2
    shift = slope.reshape(outer) * p.reshape(position)
    if offset is not None:
        shift = shift + offset.reshape(outer)
    angle = (-2 * math.pi) * k * shift
    return torch.polar(torch.ones_like(angle), angle)


def adjoint_shears(shears: Sequence[Shear]) -> list[Shear]:
    """The shears that undo these."""
    return [(axis, phases.conj()) for axis, phases in reversed(shears)]


def run_shears(x: Tensor, shears: Sequence[Shear], space: Sequence[int]) -> Tensor:
    """Shear an image, (*batch, *space).

    An axis is padded just before the first shear along it and cut just after the last one: lines of zeros, and lines
    that will be cut, are never transformed. The result is that of padding all axes first and cutting them last.
    """
    axes = [axis for axis, _ in shears]
    for number, (axis, phases) in enumerate(shears):
        if axis not in axes[:number]:
            x = _resize(x, axis, phases.shape[axis])
        x = torch.fft.ifft(torch.fft.fft(x, dim=axis) * phases, dim=axis)
        if axis not in axes[number + 1 :]:
            x = _resize(x, axis, space[axis])
    return x


def _resize(x: Tensor, axis: int, size: int) -> Tensor:
    """Pad with zeros or cut an axis, counted from the end; n // 2 stays the center."""
    now = x.shape[axis]
    start = size // 2 - now // 2
    if size >= now:
        return x if size == now else pad(x, (*(0,) * (-2 * axis - 2), start, size - now - start))
    return x.narrow(axis, -start, size)


def _is_smooth(length: int) -> bool:
    """Whether a length has no prime factor above 5."""
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return length == 1
