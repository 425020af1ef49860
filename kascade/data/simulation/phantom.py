"""Head phantom: axial slices of random heads, defined in millimeters and sampled on any grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from kascade.data.simulation.anatomy import Head
from kascade.data.simulation.geometry import check_matrix, field_of_view
from kascade.data.simulation.tissues import TISSUES, tissue_fractions
from kascade.errors import ConfigError, ShapeError

__all__ = [
    "CONTRASTS",
    "SLICE_RANGE_MM",
    "TISSUES",
    "HeadSlices",
    "contrast_signals",
    "head_phantom",
    "head_tissues",
    "head_volume",
]

SLICE_RANGE_MM = (-4.0, 52.0)

_SUPERSAMPLING = 2
_HEAD_MM = 125.0  # no head reaches further from the center

_SIGNALS = {  # in the order of TISSUES
    "t1": (0.55, 1.25, 0.42, 0.04, 0.80, 0.38, 0.15, 0.62, 0.95, 0.69, 0.82, 0.77, 0.70),
    "t2": (0.30, 0.80, 0.20, 0.03, 0.45, 0.25, 1.30, 0.62, 0.42, 0.53, 0.36, 0.52, 0.10),
    "flair": (0.28, 0.40, 0.25, 0.03, 0.28, 0.35, 0.10, 0.95, 0.72, 0.86, 0.70, 0.84, 0.14),
    "pd": (0.50, 0.90, 0.60, 0.05, 0.65, 0.45, 1.05, 0.98, 0.80, 0.92, 0.80, 0.90, 0.25),
}
_WAVES = (0.02, 0.05, 0.05, 0.10, 0.08, 0.05, 0.02, 0.04, 0.03, 0.04, 0.04, 0.04, 0.05)  # slow variation, relative
_GRAIN = (0.06, 0.07, 0.12, 0.10, 0.12, 0.10, 0.02, 0.025, 0.015, 0.025, 0.03, 0.025, 0.05)  # fine variation, relative

CONTRASTS: Mapping[str, Mapping[str, float]] = {
    name: dict(zip(TISSUES, signals, strict=True)) for name, signals in _SIGNALS.items()
}


def head_phantom(
    shape: Sequence[int] = (256, 256),
    *,
    slice_position_mm: float = 4.0,
    contrast: str | Mapping[str, float] = "t1",
    seed: int = 0,
    fov_mm: float | Sequence[float] = 240.0,
) -> Tensor:
    """Axial slice of a random head.

    The head is a set of surfaces in millimeters: the same seed gives the same head at every matrix size, and
    neighboring slices fit each other. The center of the field of view is at pixel (rows // 2, columns // 2), as in the
    Fourier transform; the nose points to row 0.

    Parameters
    ----------
    shape : sequence of int
        (rows, columns).
    slice_position_mm : float
        Height above the level of the basal ganglia, within `SLICE_RANGE_MM`.
    contrast : str or mapping
        One of `CONTRASTS`, ``random`` (drawn from the seed), or the signal of each tissue in `TISSUES`.
    seed : int
        Which head; any integer from 0 on.
    fov_mm : float or sequence of float
        Field of view (along rows, along columns).

    Returns
    -------
    Tensor
        float32, shape (rows, columns), not negative; exactly 0 outside the head.

    Raises
    ------
    ShapeError
        If `shape` is not two positive integers.
    ConfigError
        If another argument has no meaning.
    """
    grid = _grid(shape, slice_position_mm, seed, fov_mm)
    head = Head.random(seed)
    fractions = tissue_fractions(head, grid.x, grid.y, slice_position_mm)
    signals = contrast_signals(contrast, seed)
    values = torch.tensor([signals[tissue] for tissue in TISSUES])
    image = torch.tensordot(values, fractions, dims=1)
    for relative, number, wavelength_mm in ((_WAVES, 20, 30.0), (_GRAIN, 21, 4.0)):
        amplitude = torch.tensordot(values * torch.tensor(relative), fractions, dims=1)
        image += amplitude * head.noise(number, wavelength_mm).plane(grid.x, grid.y, slice_position_mm)
    return grid.pool(image[None])[0].clamp_(min=0)


def head_volume(
    shape: Sequence[int] = (8, 256, 256),
    *,
    slice_positions_mm: Sequence[float] | None = None,
    contrast: str | Mapping[str, float] = "t1",
    seed: int = 0,
    fov_mm: float | Sequence[float] = 240.0,
) -> Tensor:
    """Stack of axial slices of one head, from feet to head.

    Parameters
    ----------
    shape : sequence of int
        (slices, rows, columns).
    slice_positions_mm : sequence of float, optional
        Height of each slice; by default 5 mm apart around the basal ganglia, or less to stay within `SLICE_RANGE_MM`.
    contrast, seed, fov_mm
        As for `head_phantom`.

    Returns
    -------
    Tensor
        float32, shape (slices, rows, columns).

    Raises
    ------
    ShapeError
        If `shape` is not three positive integers, or there are not as many positions as slices.
    ConfigError
        If another argument has no meaning.
    """
    head = HeadSlices.stack(shape, slice_positions_mm, contrast, seed, fov_mm)
    return torch.stack([head[index] for index in range(shape[0])])


@dataclass(frozen=True)
class HeadSlices:
    """Slices of one head, each drawn when it is read; made by `HeadSlices.stack`.

    Attributes
    ----------
    shape : tuple of int
        (slices, rows, columns).
    positions_mm : tuple of float
        Height of each slice.
    contrast, seed, fov_mm
        As for `head_phantom`.
    """

    shape: tuple[int, int, int]
    positions_mm: tuple[float, ...]
    contrast: str | Mapping[str, float]
    seed: int
    fov_mm: tuple[float, float]

    @classmethod
    def stack(
        cls,
        shape: Sequence[int],
        positions_mm: Sequence[float] | None,
        contrast: str | Mapping[str, float],
        seed: int,
        fov_mm: float | Sequence[float],
    ) -> HeadSlices:
        """Check the arguments of `head_volume`, which see, and draw nothing yet."""
        if len(shape) != 3 or shape[0] < 1:
            raise ShapeError(f"shape {tuple(shape)}: expected (slices, rows, columns), each at least 1")
        positions = _default_positions_mm(shape[0]) if positions_mm is None else tuple(float(z) for z in positions_mm)
        if len(positions) != shape[0]:
            raise ShapeError(
                f"slice_positions_mm has {len(positions)} entries for {shape[0]} slices: give one for each"
            )
        contrast_signals(contrast, seed)
        return cls((shape[0], *check_matrix(shape[1:])), positions, contrast, seed, field_of_view(fov_mm))

    def __getitem__(self, index: int) -> Tensor:
        """Slice `index`, float32, (rows, columns)."""
        return head_phantom(
            self.shape[1:],
            slice_position_mm=self.positions_mm[index],
            contrast=self.contrast,
            seed=self.seed,
            fov_mm=self.fov_mm,
        )


def _default_positions_mm(slices: int) -> tuple[float, ...]:
    """Positions up to 5 mm apart, the first at the basal ganglia if there is room."""
    low, high = SLICE_RANGE_MM
    start = 4.0 if 4.0 + 5 * (slices - 1) <= high else low
    step = min(5.0, (high - start) / max(slices - 1, 1))
    return tuple(start + step * i for i in range(slices))


def head_tissues(
    shape: Sequence[int] = (256, 256),
    *,
    slice_position_mm: float = 4.0,
    seed: int = 0,
    fov_mm: float | Sequence[float] = 240.0,
) -> Tensor:
    """Share of each tissue in each pixel of the slice that `head_phantom` shows.

    Parameters
    ----------
    shape, slice_position_mm, seed, fov_mm
        As for `head_phantom`.

    Returns
    -------
    Tensor
        float32, shape (tissue, rows, columns), in the order of `TISSUES`; sums to 1 inside the head and 0 outside.

    Raises
    ------
    ShapeError
        If `shape` is not two positive integers.
    ConfigError
        If another argument has no meaning.
    """
    grid = _grid(shape, slice_position_mm, seed, fov_mm)
    return grid.pool(tissue_fractions(Head.random(seed), grid.x, grid.y, slice_position_mm))


def contrast_signals(contrast: str | Mapping[str, float], seed: int = 0) -> dict[str, float]:
    """Signal of each tissue.

    Parameters
    ----------
    contrast : str or mapping
        One of `CONTRASTS`; ``random``: a random blend of all of them, each tissue then varied by 15 %; or the signals
        themselves, one for each of `TISSUES`.
    seed : int
        Seed of ``random``.

    Returns
    -------
    dict
        Tissue name to signal.

    Raises
    ------
    ConfigError
        If the contrast is unknown, or a tissue is missing, unknown, negative or not finite.
    """
    if contrast == "random":
        rng = np.random.default_rng((seed, 7))
        blend = rng.dirichlet(np.full(len(_SIGNALS), 0.5)) @ np.array(list(_SIGNALS.values()))
        return dict(zip(TISSUES, (blend * np.exp(rng.normal(0, 0.15, len(TISSUES)))).tolist(), strict=True))
    if isinstance(contrast, str):
        if contrast not in CONTRASTS:
            raise ConfigError(f"unknown contrast {contrast!r}: choose one of {', '.join(CONTRASTS)}, random")
        return dict(CONTRASTS[contrast])
    wrong = sorted(set(contrast) ^ set(TISSUES))
    if wrong:
        raise ConfigError(f"contrast: missing or unknown tissues {', '.join(wrong)}; give a signal for each of TISSUES")
    bad = [tissue for tissue, signal in contrast.items() if not (np.isfinite(signal) and signal >= 0)]
    if bad:
        raise ConfigError(f"contrast: the signals of {', '.join(bad)} are negative or not finite")
    return {tissue: float(contrast[tissue]) for tissue in TISSUES}


@dataclass(frozen=True)
class _Grid:
    """Supersamples of the pixels that can hold the head: their coordinates, and the pixels left out on each side."""

    x: Tensor
    y: Tensor
    padding: tuple[int, int, int, int]  # left, right, top, bottom

    def pool(self, fine: Tensor) -> Tensor:
        """Average (tissue, fine rows, fine columns) over each pixel; the pixels left out are 0."""
        return pad(avg_pool2d(fine[None], _SUPERSAMPLING)[0], self.padding)


def _grid(shape: Sequence[int], slice_position_mm: float, seed: int, fov_mm: float | Sequence[float]) -> _Grid:
    check_matrix(shape)
    if seed < 0:
        raise ConfigError(f"seed is {seed}: expected 0 or more")
    low, high = SLICE_RANGE_MM
    if not low <= slice_position_mm <= high:
        raise ConfigError(f"slice_position_mm is {slice_position_mm:g}: the phantom reaches from {low:g} to {high:g}")
    (rows, top, bottom), (columns, left, right) = (
        _axis(n, f) for n, f in zip(shape, field_of_view(fov_mm), strict=True)
    )
    return _Grid(columns, -rows, (left, right, top, bottom))


def _axis(pixels: int, fov_mm: float) -> tuple[Tensor, int, int]:
    """Coordinates of the supersamples, 0 at the center of pixel n // 2; pixels left out before and behind."""
    size = fov_mm / pixels
    reach = int(_HEAD_MM / size) + 1
    first, last = max(pixels // 2 - reach, 0), min(pixels // 2 + reach + 1, pixels)
    fine = torch.arange(first * _SUPERSAMPLING, last * _SUPERSAMPLING, dtype=torch.float32)
    return ((fine + 0.5) / _SUPERSAMPLING - 0.5 - pixels // 2) * size, first, pixels - last
