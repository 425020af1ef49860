"""How the files of a run are reconstructed, and what each of them becomes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError
from kascade.recon.models import model_fingerprint
from kascade.recon.sources import result_name

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """How each file of a run is reconstructed; picklable.

    Attributes
    ----------
    method : str
        Name of the method, see `kascade.recon.methods`.
    options : mapping
        Its options, see `kascade.recon.get_method`.
    undersampling : MaskSpec or None
        Retrospective undersampling.
    maps : Path or None
        File or folder of coil maps to use.
    keep_oversampling : bool
        Keep the readout oversampling.
    complex_values : bool
        Write complex images; the magnitude otherwise.
    nifti, save_maps : bool
        Write ``NAME.nii.gz``, and the maps as ``maps/NAME.h5``, too.
    axes : str or None
        Names of the axes of the file's array, where its format leaves them open.
    trace : Path or None
        Folder for what each iteration of a cascade made, as ``NAME.h5`` and ``NAME.png``.

    Raises
    ------
    ConfigError
        If there is to be a trace of a method that is no cascade.
    """

    method: str = "sense"
    options: Mapping[str, Any] = field(default_factory=dict)
    undersampling: MaskSpec | None = None
    maps: Path | None = None
    keep_oversampling: bool = False
    complex_values: bool = False
    nifti: bool = False
    save_maps: bool = False
    axes: str | None = None
    trace: Path | None = None

    def __post_init__(self) -> None:
        if self.trace is not None and self.method != "unrolled":
            raise ConfigError(f"trace: method {self.method!r} is no cascade; only 'unrolled' can be traced")

    def method_options(self) -> dict[str, Any]:
        """Options of the method, for `kascade.recon.get_method`."""
        return {**self.options, **({} if self.trace is None else {"keep_steps": True})}

    def settings(self) -> dict[str, Any]:
        """What decides the result, as JSON holds it; two runs with equal settings give equal files.

        Raises
        ------
        ConfigError, FileFormatError
            If the model that the options name is not there or cannot be read.
        """
        model = self.options.get("model")
        return {
            "method": self.method,
            "model_sha256": model_fingerprint(model) if self.method == "unrolled" else None,
            "options": dict(self.options),
            "undersampling": None if self.undersampling is None else asdict(self.undersampling),
            "maps": None if self.maps is None else str(self.maps),
            "keep_oversampling": self.keep_oversampling,
            "complex": self.complex_values,
            "nifti": self.nifti,
            "save_maps": self.save_maps,
            "axes": self.axes,
            "trace": self.trace is not None,
        }

    def outputs(self, path: str | os.PathLike[str], out: Path) -> dict[str, Path]:
        """Files that come from `path`, by kind.

        Raises
        ------
        ConfigError
            If two of them would be one and the same.
        """
        name = result_name(path)
        files = {"h5": out / f"{name}.h5", "png": out / f"{name}.png", "json": out / f"{name}.json"}
        if self.options.get("motion", "none") != "none":
            files["motion"] = out / f"{name}-motion.png"
        if self.nifti:
            files["nifti"] = out / f"{name}.nii.gz"
        if self.save_maps:
            files["maps"] = out / "maps" / f"{name}.h5"
        if self.trace is not None:
            files |= {"trace h5": self.trace / f"{name}.h5", "trace png": self.trace / f"{name}.png"}
            others = [file.resolve() for kind, file in files.items() if not kind.startswith("trace")]
            if files["trace h5"].resolve() in others:
                raise ConfigError(f"trace: {files['trace h5']} is a result, too; name another folder for the trace")
        return files
