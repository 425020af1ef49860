"""Whole volumes restored slice by slice, and where the degradation was seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.data.atomic import refuse_existing
from kascade.data.degradation import LABELS, intensity_scale
from kascade.data.degradation.degrade import head_mask
from kascade.data.nifti import Volume, check_suffix, read_volume, stem
from kascade.data.nifti_like import write_like
from kascade.data.planes import slice_plane
from kascade.errors import ConfigError, FileFormatError
from kascade.nets.cag import CAG, DegradationClassifier
from kascade.recon.models import load_named, misfits

__all__ = ["Restored", "explanation_path", "padded_to_stride", "restore_file", "restore_slices", "restore_volume"]

Progress = Callable[[float, float], None]
MARGIN = 8  # px of background around the head that the network sees, too


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored volume.

    Attributes
    ----------
    data : Tensor
        float32, as `Volume.data`.
    explanation : Tensor or None
        The same shape, 0 to 1 in each slice: where the network saw degradation; None of networks without explanation.
    degradations : dict
        Mean over slices of the probabilities that the network gives to each of `LABELS`; empty without a classifier.
    plane : str
        Orientation of the slices.
    """

    data: Tensor
    explanation: Tensor | None
    degradations: dict[str, float]
    plane: str


def restore_file(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    model: str = "cag",
    *,
    explain: bool = False,
    device: str = "cpu",
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Restored, list[str]]:
    """Restore a NIfTI volume; axes, geometry, header and data type are kept.

    Parameters
    ----------
    source, path : path
        File to read, and to write.
    model : str
        File or name of a trained restoration network.
    explain : bool
        Write the explanation, too, as `explanation_path(path)`, float32.
    device : str
        torch device.
    force : bool
        Replace existing files.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    Restored
    list of str
        What was found wrong with the file or does not fit the model, and how it was handled.

    Raises
    ------
    ConfigError
        If there is no such model, it does not restore, or has no explanation to write, or the output has another suffix
        than .nii or .nii.gz.
    FileFormatError
        If a file cannot be read, or no voxel is above 0 and some are below.
    OutputError
        If a file exists (and not `force`) or cannot be written.
    """
    check_suffix(path)
    beside = explanation_path(path)
    for file in (Path(path), *([beside] if explain else [])):
        refuse_existing(file, force)
    found = load_named(model, {}, device)
    if found.task == "super-resolution":
        raise ConfigError(f"model {found.name} is for super-resolution; say by what factor slices are thick: --factor")
    if found.task != "restoration" or isinstance(found.network, DegradationClassifier):
        raise ConfigError(
            f"model {found.name} ({found.config['kind']}) restores no images; kascade models lists others"
        )
    if explain and not (isinstance(found.network, CAG) and found.network.explain):
        raise ConfigError(f"--explain: model {found.name} ({found.config['kind']}) has no explanation; leave it out")
    measured = read_volume(source)
    if float(measured.data.min()) < 0 and not bool((measured.data > 0).any()):
        raise FileFormatError(f"{source}: no voxel is above 0; expected an image of magnitudes")
    volume = measured.magnitudes()
    plane = slice_plane(volume)
    between, *sides = plane.spacing_mm(volume)
    facts = [{"slice_distance_mm": between}, *({"spacing_mm": side} for side in sides)]
    problems = [*volume.problems, *misfits(found, facts)]
    restored = restore_volume(volume, found.network, device, progress)
    write_like(path, restored.data, source, force=force)
    if explain and restored.explanation is not None:
        write_like(beside, restored.explanation, source, as_float32=True, force=force)
    return restored, problems


def explanation_path(path: str | os.PathLike[str]) -> Path:
    """Where the explanation of a restored file lies: ``NAME_cag.nii.gz`` of ``NAME.nii.gz``."""
    path = Path(path)
    name = stem(path)
    return path.with_name(f"{name}_cag{path.name[len(name) :]}")


def restore_volume(
    volume: Volume, network: nn.Module, device: str = "cpu", progress: Progress | None = None
) -> Restored:
    """Restore a volume in the slices of `slice_plane`.

    Slices are scaled by `intensity_scale` of the volume. Background that is exactly 0, as of stripped heads, stays 0;
    everything else is the network's.

    Parameters
    ----------
    volume : Volume
    network : nn.Module
        In evaluation mode, of `build_network`.
    device : str
        Where the network is.
    progress : callable, optional
        Called as progress(done, total) after each slice.
    """
    plane = slice_plane(volume)
    clean = plane.slices(volume.data.clamp(min=0)).contiguous()
    scale = intensity_scale(clean)
    head = head_mask(clean)
    out, maps = clean.clone(), torch.zeros_like(clean)
    shown = [n for n in range(len(clean)) if bool(head[n].any())]
    seen: list[Tensor] = []
    rows, columns = _box(head)
    for done, index in enumerate(shown, start=1):
        neighbors = [min(max(n, 0), len(clean) - 1) for n in (index - 1, index, index + 1)]
        x = (2 / scale * clean[neighbors][:, rows, columns] - 1)[None].to(device)
        image, explanation, logits = restore_slices(network, x)
        out[index, rows, columns] = ((image[0, 1] + 1) / 2 * scale).clamp(min=0).cpu()
        if explanation is not None and logits is not None:
            maps[index, rows, columns] = explanation[0, 0].cpu()
            seen.append(logits[0].sigmoid().cpu())
        if progress is not None:
            progress(done, len(shown))
    return Restored(
        plane.volume(torch.where(head, out, clean)).contiguous(),
        plane.volume(torch.where(head, maps, 0)).contiguous() if seen else None,
        dict(zip(LABELS, torch.stack(seen).mean(0).tolist(), strict=True)) if seen else {},
        plane.name,
    )


def padded_to_stride(network: nn.Module, x: Tensor) -> Tensor:
    """Images (batch, channels, rows, columns), mirrored at the end to a size that a network can take."""
    rows, columns = x.shape[-2:]
    own = getattr(network, "stride", 1)  # a tuple where the network is a single convolution
    stride = own if isinstance(own, int) else 1
    down, right = -rows % stride, -columns % stride
    reflect = down < rows and right < columns
    return F.pad(x, (0, right, 0, down), mode="reflect" if reflect else "replicate")


@torch.no_grad()
def restore_slices(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Apply a network to (batch, 3, rows, columns) of any size, in [-1, 1].

    Returns
    -------
    Tensor
        (batch, 3, rows, columns).
    Tensor or None
        Its explanation, (batch, 1, rows, columns), of a CAG that explains itself.
    Tensor or None
        The logits of its classifier, (batch, 4).
    """
    rows, columns = x.shape[-2:]
    padded = padded_to_stride(network, x)
    if isinstance(network, CAG) and network.explain:
        guide = network.explanation(padded)
        image = network.restorer(padded, guide)
        return image[..., :rows, :columns], guide[..., :rows, :columns], network.classifier(padded)
    return network(padded)[..., :rows, :columns], None, None


def _box(head: Tensor) -> tuple[slice, slice]:
    """Rows and columns around the head, with a margin."""
    found = []
    for axis in (1, 2):
        places = head.any(0).any(2 - axis).nonzero()
        low, high = (int(places.min()), int(places.max())) if len(places) else (0, head.shape[axis] - 1)
        found.append(slice(max(low - MARGIN, 0), high + 1 + MARGIN))
    return found[0], found[1]
