"""What a recipe says about training data: where images come from, and how scans of them are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["DataConfig", "KspaceSource", "NiftiSource", "PhantomSource", "Source"]

Weight = Annotated[float, Field(gt=0)]
Orientation = Literal["axial", "coronal", "sagittal"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Files(_Strict):
    """Files below the data folder, and which of them are not trained on.

    Attributes
    ----------
    folder : str
        Below the data folder.
    files : str
        Pattern of the files' paths below `folder`.
    validation, test : tuple of str
        Files whose path holds one of these texts are used for validation only, or not at all.
    weight : float
        Share of the examples, relative to the other sources.
    licence : str
        Of the files; goes into the model card.
    """

    folder: str
    files: str
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    weight: Weight = 1.0
    licence: str

    @field_validator("files")
    @classmethod
    def _pattern(cls, files: str) -> str:
        path = Path(files)
        if not path.parts or path.is_absolute() or any("**" in part and part != "**" for part in path.parts):
            raise ValueError("expected a pattern of paths below the folder, such as '*.h5' or '**/*.h5'")
        return files


class NiftiSource(_Files):
    """Magnitude images: slices of NIfTI volumes.

    Attributes
    ----------
    orientations : tuple of str
        How volumes are sliced; leave out what has thick slices.
    skull_stripped : bool
        Put scalp, skull and fluid of random shape and brightness around the brain.
    """

    kind: Literal["nifti"]
    files: str = "**/*.nii*"
    orientations: tuple[Orientation, ...] = Field(("axial",), min_length=1)
    skull_stripped: bool = False


class PhantomSource(_Strict):
    """The built-in head phantom, a new head for each example."""

    kind: Literal["phantom"]
    weight: Weight = 1.0
    licence: str = "none needed: drawn by Kascade"


class KspaceSource(_Files):
    """Fully sampled multi-coil scans, in any format that `kascade.load` reads; undersampled in retrospect."""

    kind: Literal["kspace"]
    files: str = "**/*.h5"


Source = Annotated[NiftiSource | PhantomSource | KspaceSource, Field(discriminator="kind")]


class DataConfig(_Strict):
    """Training data of a recipe. Ranges are (least, most); every example draws from them.

    Attributes
    ----------
    sources : tuple
        Where images and k-space come from.
    acceleration : (float, float)
        Nominal R, before the calibration lines are added.
    acs : (int, int)
        Calibration lines.
    masks : dict
        Share of each kind: "uniform" and "random" columns, "grid" in both directions.
    coils : (int, int)
        Of simulated scans.
    snr : (float, float)
        Of simulated scans, log-uniform: mean magnitude over the object by the complex noise's standard deviation.
    apodized : float
        Probability that k-space, noise and all, falls off towards its edges: some scanners filter what they export.
    spacing_mm : (float, float)
        Pixel size of simulated scans, log-uniform.
    pixels : int
        Largest number of pixels of a simulated image.
    contrast : float
        Probability that gray values are changed at random: a gamma curve, or inverted.
    validation_examples : int
        How many scans are drawn, once, for validation.
    """

    sources: tuple[Source, ...] = Field(min_length=1)
    acceleration: tuple[float, float] = (2.0, 8.0)
    acs: tuple[int, int] = (16, 32)
    masks: dict[Literal["uniform", "random", "grid"], Weight] = Field(default={"uniform": 1.0}, min_length=1)
    coils: tuple[int, int] = (4, 16)
    snr: tuple[float, float] = (5.0, 200.0)
    apodized: float = Field(0.0, ge=0, le=1)
    spacing_mm: tuple[float, float] = (0.9, 2.4)
    pixels: int = Field(24000, ge=1024)
    contrast: float = Field(0.5, ge=0, le=1)
    validation_examples: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _ranges(self) -> DataConfig:
        for name, least in (("acceleration", 1.0), ("acs", 8), ("coils", 1), ("snr", 1e-3), ("spacing_mm", 0.1)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(f"{name} must be (least, most) with {least:g} <= least <= most, got ({low}, {high})")
        return self
