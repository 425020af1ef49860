"""From NIfTI files to their degraded versions with labels: what `kascade degrade` calls."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kascade.data.atomic import atomic_output, refuse_existing
from kascade.data.degradation.degrade import degrade, head_mask, intensity_scale
from kascade.data.degradation.labels import CLEAN, LABELS, parse_sources
from kascade.data.degradation.transforms import make_degradations
from kascade.data.folder import visible_files
from kascade.data.nifti import is_nifti, read_volume
from kascade.data.nifti_like import write_like
from kascade.data.planes import slice_plane
from kascade.errors import FileFormatError

__all__ = ["Variant", "degrade_file", "nifti_files", "variants"]


@dataclass(frozen=True)
class Variant:
    """One degradation to make: its sources and how severe they are; none, and "", for clean images."""

    sources: tuple[str, ...]
    severity: str

    @property
    def name(self) -> str:
        """Such as ``motion+noise-mild``, or ``clean``."""
        return f"{'+'.join(self.sources)}-{self.severity}" if self.sources else CLEAN


def variants(sources: Iterable[str], severities: Iterable[str]) -> list[Variant]:
    """Every mixture in every severity; clean images once.

    Raises
    ------
    ConfigError
        If a source or severity is unknown.
    """
    levels, found = [text.strip() for text in severities], []
    for text in sources:
        mixture = parse_sources(text)
        for severity in levels if mixture else [""]:
            if mixture:
                make_degradations(mixture, severity)
            found.append(Variant(mixture, severity))
    return list(dict.fromkeys(found))


def nifti_files(path: Path) -> list[Path]:
    """The file itself, or the NIfTI files of a folder, hidden ones left out.

    Raises
    ------
    FileFormatError
        If it is not there, or holds none.
    """
    if path.is_file():
        return [path]
    found = [file for file in visible_files(path) if is_nifti(file)]
    if not found:
        raise FileFormatError(f"{path}: no NIfTI files in this folder; expected .nii or .nii.gz")
    return found


def degrade_file(
    source: Path, folder: Path, wanted: Sequence[Variant], seed: int = 0, force: bool = False
) -> list[str]:
    """Write degraded versions of a volume as ``NAME_VARIANT.nii.gz``, each with its labels in ``.json``.

    Slices are those of `slice_plane`; all of a volume move alike. Everything random follows from seed, the file's name
    and the variant.

    Parameters
    ----------
    source : Path
        NIfTI file.
    folder : Path
        Where to write.
    wanted : sequence of Variant
    seed : int
    force : bool
        Replace existing files.

    Returns
    -------
    list of str
        What was found wrong with the file and how it was handled.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    OutputError
        If a file exists (and not `force`) or cannot be written.
    """
    volume = read_volume(source).magnitudes()
    plane, scale = slice_plane(volume), intensity_scale(volume.data)
    _, *sides = plane.spacing_mm(volume)
    spacing = sides[0], sides[1]
    clean = plane.slices(volume.data) / scale
    head = head_mask(clean)
    paths = {variant: folder / f"{volume.name}_{variant.name}.nii.gz" for variant in wanted}
    for path in paths.values():
        refuse_existing(path, force)
        refuse_existing(_tags(path), force)
    for variant, path in paths.items():
        rng = np.random.default_rng((seed, zlib.crc32(f"{volume.name} {variant.name}".encode())))
        steps = make_degradations(variant.sources, variant.severity, spacing) if variant.sources else []
        degraded = degrade(clean, steps, rng, head=head)
        tags = {
            "source": source.name,
            "sources": list(variant.sources),
            "severity": variant.severity,
            "labels": dict(zip(LABELS, degraded.labels.int().tolist(), strict=True)),
            "seed": seed,
            "plane": plane.name,
            "scale": scale,
        }
        write_like(path, plane.volume(degraded.image) * scale, source, as_float32=True, force=force)
        with atomic_output(_tags(path), force) as beside:
            beside.write_text(json.dumps(tags, indent=2) + "\n", encoding="utf-8")
    return list(volume.problems)


def _tags(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")
