"""Whole volumes: thick slices interpolated, restored by a network, and pulled back to what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from kascade.data.nifti import Volume
from kascade.errors import ConfigError
from kascade.physics import regularized_sense
from kascade.physics.interpolation import cubic_interpolation
from kascade.recon.superres.grid import FineGrid, fine_grid
from kascade.unroll.adapter import apply_to_any_size

__all__ = ["LAM", "across_images", "head_box", "make_consistent", "resimulation_error", "super_resolve"]

LAM = 20.0
"""Strength of data consistency: re-simulated slices come to within a few thousandths of the measured ones."""

_TOLERANCE = 1e-5  # of the solve
_MARGIN = 8  # px around the head
_BACKGROUND = 0.02  # of the 99th percentile, below which a voxel is no head


def super_resolve(
    thick: Volume,
    factor: int,
    *,
    network: nn.Module | None = None,
    axis: str | None = None,
    like: Volume | None = None,
    profile: str = "gaussian",
    lam: float | None = LAM,
    batch: int = 8,
    device: torch.device | str = "cpu",
    watch: Callable[[int, int], None] | None = None,
) -> Volume:
    """Restore a volume of thick slices on a fine grid.

    The slices are interpolated by cubic splines; the network restores the images that lie across them (for axial
    slices the coronal ones), within the bounding box of the head; and each image is pulled back to the measured slices
    by the regularized solve of reconstruction, with the slice profile as the encoding operator. One batch of images is
    in memory beside the two volumes.

    Parameters
    ----------
    thick : Volume
        The measured slices, a magnitude volume.
    factor : int
        Their distance, in fine voxels.
    network : nn.Module, optional
        Maps (batch, 1, rows, columns) to the same, rows running across the slices, for images divided by the RMS of
        the head's box. Its attributes `size` (one size only: images are cut into tiles, which are blended) and
        `stride` are heeded. None: interpolation only.
    axis, like
        As in `fine_grid`.
    profile : str
        The slice profile, as in `kascade.physics.thick_slices.profile_weights`.
    lam : float, optional
        Strength of data consistency, as in `regularized_sense`: large trusts the slices, small the network; None
        leaves it out.
    batch : int
        Images at once.
    device : device
        Where to compute.
    watch : callable, optional
        Called as watch(done, images).

    Returns
    -------
    Volume
        On the fine grid, with its affine.

    Raises
    ------
    ConfigError
        If grids or profile make no sense, or the network returns another shape.
    """
    grid = fine_grid(thick, factor, axis, like)
    fine = torch.zeros(grid.shape)
    images, slices = across_images(fine, grid.axis), across_images(thick.data, grid.axis)
    box = head_box(slices)
    scale = float(slices[box].square().mean().sqrt()) or 1.0
    E = grid.operator(slices.shape[1], slices.shape[2], profile).to(device)
    if network is not None:
        network = network.eval().to(device)
    with torch.inference_mode():
        for part in _parts(len(images), batch):
            y = slices[part].to(device)
            x = cubic_interpolation(y, factor, -2, length=images.shape[1], first=grid.first)
            if network is not None:
                x = _restored(network, x, part, box, grid, scale)
            if lam is not None:
                x = regularized_sense(E, y, x, lam, tol=_TOLERANCE).image
            images[part] = x.cpu()
            if watch is not None:
                watch(part.stop, len(images))
    return replace(thick, data=fine, affine=grid.affine, spacing_mm=grid.spacing_mm(thick))


def make_consistent(
    fine: Volume,
    thick: Volume,
    factor: int,
    *,
    axis: str | None = None,
    profile: str = "gaussian",
    lam: float = LAM,
    batch: int = 8,
    device: torch.device | str = "cpu",
) -> Volume:
    """Pull a restored volume back to the measured slices, as `super_resolve` does where it is given `lam`.

    Parameters
    ----------
    fine : Volume
        What `super_resolve` made of `thick` with lam=None.
    thick, factor, axis, profile, lam, batch, device
        As there.

    Returns
    -------
    Volume
        On the same grid.

    Raises
    ------
    ConfigError
        If `fine` is not on a grid `factor` times as fine as `thick`.
    """
    grid = fine_grid(thick, factor, axis, like=fine)
    out = torch.zeros(grid.shape)
    images, priors, slices = (across_images(data, grid.axis) for data in (out, fine.data, thick.data))
    E = grid.operator(slices.shape[1], slices.shape[2], profile).to(device)
    with torch.inference_mode():
        for part in _parts(len(images), batch):
            x, y = priors[part].to(device), slices[part].to(device)
            images[part] = regularized_sense(E, y, x, lam, tol=_TOLERANCE).image.cpu()
    return replace(fine, data=out)


def resimulation_error(
    fine: Volume, thick: Volume, factor: int, axis: str | None = None, profile: str = "gaussian"
) -> float:
    """NRMSE of the slices that a scanner would measure of `fine`, against the measured ones: ||E x - y|| / ||y||.

    Raises
    ------
    ConfigError
        If `fine` is not on a grid `factor` times as fine as `thick`, or `thick` is zero everywhere.
    """
    grid = fine_grid(thick, factor, axis, like=fine)
    images, slices = across_images(fine.data, grid.axis), across_images(thick.data, grid.axis)
    E = grid.operator(slices.shape[1], slices.shape[2], profile)
    if not bool(slices.any()):
        raise ConfigError(f"{thick.name}: every voxel is 0; no relative error is defined")
    error = sum(float((E(images[part]) - slices[part]).square().sum()) for part in _parts(len(images), 8))
    return float((error / float(slices.double().square().sum())) ** 0.5)


def across_images(data: Tensor, axis: int) -> Tensor:
    """View of a volume as (image, position across the slices, columns): for axial slices coronal images."""
    through = {-1: -2, -2: -1, -3: -2}[axis]
    columns = next(a for a in (-3, -2, -1) if a not in (axis, through))
    return data.permute(through, axis, columns)


def _parts(count: int, batch: int) -> Iterator[slice]:
    for start in range(0, count, batch):
        yield slice(start, min(start + batch, count))


def head_box(slices: Tensor) -> tuple[slice, slice, slice]:
    """Images with signal, all slices, and columns with signal and a margin, of `across_images` of thick slices."""
    level = _BACKGROUND * float(torch.quantile(slices.abs().flatten()[:: max(slices.numel() // 2**20, 1)], 0.99))
    head = slices.abs() > level
    if not bool(head.any()):
        return slice(0, 0), slice(0, slices.shape[1]), slice(0, 0)
    (first, last), (left, right) = (
        (int(line.nonzero()[0]), int(line.nonzero()[-1])) for line in (head.any(2).any(1), head.any(1).any(0))
    )
    return slice(first, last + 1), slice(0, slices.shape[1]), slice(max(left - _MARGIN, 0), right + 1 + _MARGIN)


def _restored(
    network: nn.Module, x: Tensor, part: slice, box: tuple[slice, slice, slice], grid: FineGrid, scale: float
) -> Tensor:
    """Interpolated images, those of the head restored by the network within the box."""
    start, stop = max(box[0].start - part.start, 0), min(box[0].stop - part.start, len(x))
    if start >= stop:
        return x
    inside = x[start:stop, :, box[2]].unsqueeze(1) / scale
    size, stride = getattr(network, "size", None), getattr(network, "stride", 16)
    out = apply_to_any_size(network, inside, size, stride)
    if out.shape != inside.shape:
        raise ConfigError(
            f"{type(network).__name__} made {tuple(out.shape)} of {tuple(inside.shape)}; expected the same shape"
        )
    x = x.clone()
    x[start:stop, :, box[2]] = out[:, 0] * scale
    return x
