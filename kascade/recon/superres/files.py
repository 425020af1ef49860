"""From a file of thick slices to a file of thin ones: for a command, or for Python."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import torch

from kascade.data.atomic import refuse_existing
from kascade.data.nifti import Volume, check_suffix, read_volume, write_volume
from kascade.data.simulation.thick import AXES
from kascade.errors import ConfigError
from kascade.nets.styleswin import StyleSwin
from kascade.recon.models import load_named, misfits
from kascade.recon.superres.grid import fine_grid
from kascade.recon.superres.volume import LAM, super_resolve

__all__ = ["super_resolve_file"]


def super_resolve_file(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    factor: int,
    *,
    model: str | os.PathLike[str] | None = None,
    like: str | os.PathLike[str] | None = None,
    axis: str | None = None,
    profile: str = "gaussian",
    lam: float | None = LAM,
    device: torch.device | str = "cpu",
    force: bool = False,
    watch: Callable[[int, int], None] | None = None,
) -> Volume:
    """Restore a NIfTI volume of thick slices on a fine grid.

    Parameters
    ----------
    source, path : path
        NIfTI files to read and to write.
    factor : int
        Distance of slices, in fine voxels.
    model : str or path, optional
        Name or file of a trained network; without them slices are interpolated and made consistent.
    like : path, optional
        NIfTI volume on the grid that is wanted.
    axis, profile, lam, device, watch
        As in `super_resolve`.
    force : bool
        Replace an existing file.

    Returns
    -------
    Volume
        As it was written; its `problems` tell what was found wrong in the source, and where the network was trained for
        something else than this.

    Raises
    ------
    FileFormatError
        If a file cannot be read.
    ConfigError
        If the grids do not match, there is no such model for super-resolution, or `path` has another suffix than .nii
        or .nii.gz.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    check_suffix(path)
    refuse_existing(path, force)
    thick = read_volume(source)
    network, problems = None, list(thick.problems)
    if model is not None:
        found = load_named(model, {}, str(device))
        if found.task != "super-resolution":
            raise ConfigError(f"model {found.name} is for {found.task}, not for super-resolution; leave out --factor")
        if isinstance(found.network, StyleSwin):
            raise ConfigError(f"{model}: a generator, which restores nothing; train recipes/transmrsr.yaml from it")
        network = found.network
    target = None if like is None else read_volume(like)
    grid = fine_grid(thick, factor, axis, target)
    if model is not None:
        given = {"factor": factor, "profile": profile, "axis": AXES[grid.axis]}
        trained = {name: found.card.get(name) for name in given}
        problems += [
            f"the network was trained for {n} {trained[n]}, not {given[n]}" for n in given if trained[n] != given[n]
        ]
        problems += misfits(found, [{"spacing_mm": side} for side in grid.spacing_mm(thick)])
    fine = super_resolve(
        thick, factor, network=network, axis=axis, like=target, profile=profile, lam=lam, device=device, watch=watch
    )
    write_volume(path, fine.data, like=fine, force=force)
    return replace(fine, problems=tuple(problems))
