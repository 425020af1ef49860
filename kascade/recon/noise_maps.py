"""How much noise SENSE amplifies, pixel by pixel, and what its regularization costs: g-factor, amplification, bias."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kascade.data import Scan
from kascade.data.masks import MaskSpec, acs_columns, true_acceleration
from kascade.errors import ConfigError
from kascade.physics import Encoding, ifft, regularized_sense
from kascade.physics.gfactor import gfactor_uniform, noise_amplification
from kascade.physics.rss import rss
from kascade.recon.outputs import all_or_none, make_folder
from kascade.recon.prepare import prepare_scan
from kascade.recon.setup import Setup
from kascade.recon.sources import result_name
from kascade.report.figures import map_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NoiseMaps", "noise_figure", "noise_file", "noise_maps"]

TOLERANCE, MAX_ITER = 1e-3, 500  # 0.3 % of the amplification, much less than the error of the replicas
OBJECT = 0.1  # of the 99th percentile of the image: pixels below are background


@dataclass(frozen=True)
class NoiseMaps:
    """What `noise_maps` found for one slice; maps are (rows, columns), NaN in the background.

    Attributes
    ----------
    lam : float
        Regularization strength: no pixel of `amplification` exceeds it but by the error of the replicas.
    true_acceleration : float
        Of the mask.
    replicas : int
        Noise realizations; the relative standard error of `amplification` is 1 / (2 sqrt(replicas)).
    amplification : array
        Standard deviation of regularized SENSE's noise for white unit noise in k-space, 1 for full sampling.
    gfactor : array or None
        g-factor of unregularized SENSE with columns 0, R, 2R, ... alone, which knows where the background is;
        sqrt(R) g is its noise amplification. None where there is no nominal R that divides the columns, or there are
        several map sets.
    accel : int or None
        R of `gfactor`.
    bias : array or None
        |G E x - x| over the 99th percentile of |x|, x being the fully sampled image: what regularization and missing
        samples change apart from noise. None where k-space is not fully sampled.
    """

    lam: float
    true_acceleration: float
    replicas: int
    amplification: NDArray[np.float32]
    gfactor: NDArray[np.float32] | None = None
    accel: int | None = None
    bias: NDArray[np.float32] | None = None

    def maps(self) -> dict[str, NDArray[np.float32]]:
        """The maps there are, by name."""
        named = {"noise_amplification": self.amplification, "gfactor": self.gfactor, "bias": self.bias}
        return {name: values for name, values in named.items() if values is not None}

    def facts(self) -> dict[str, Any]:
        """Numbers for the report: bound and acceleration, then mean, median, 95th percentile, maximum of each map."""
        found: dict[str, Any] = {
            "lam": self.lam,
            "true_acceleration": self.true_acceleration,
            "accel": self.accel,
            "replicas": self.replicas,
        }
        for name, values in self.maps().items():
            inside = values[np.isfinite(values)]
            found[name] = {
                "mean": float(inside.mean()),
                "median": float(np.median(inside)),
                "percentile_95": float(np.percentile(inside, 95)),
                "max": float(inside.max()),
            }
        return found


def noise_maps(
    scan: Scan,
    index: int,
    undersampling: MaskSpec | None = None,
    lam: float = 5.0,
    replicas: int = 100,
    setup: Setup | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NoiseMaps:
    """Measure the noise amplification of regularized SENSE in one slice.

    Parameters
    ----------
    scan : Scan
        As from `kascade.recon.prepare.prepare_scan`.
    index : int
        Slice.
    undersampling : MaskSpec, optional
        Retrospective undersampling; the scan's own mask otherwise.
    lam : float
        Regularization strength.
    replicas : int
        Noise realizations.
    setup : Setup, optional
        Map sets, whitening, device.
    progress : callable, optional
        Called as progress(done, replicas).

    Returns
    -------
    NoiseMaps

    Raises
    ------
    ConfigError
        If the scan has no calibration region, or an argument is out of range.

    References
    ----------
    Pruessmann et al., MRM 42 (1999), eq. 23; Robson et al., MRM 60 (2008); Nickel, "Can We See the Bottom?", 2025.
    """
    setup = setup or Setup()
    one = scan.slices(index, index + 1)
    used = one
    if undersampling is not None:
        used = one.undersample(undersampling.make(one.matrix, one.path.name if one.path is not None else one.name))
    E = setup.problem(used, 0).E
    if not isinstance(E, Encoding):
        raise ConfigError("noise maps do not account for motion; use motion='none'")
    mask = E.mask
    full = one.whitened(0).to(setup.device)

    def reconstruct(kspace: Tensor) -> Tensor:
        image = regularized_sense(E, kspace, lam=lam, tol=TOLERANCE, max_iter=MAX_ITER).image
        return image if E.sets is None else torch.linalg.vector_norm(image, dim=-3)

    amplification = noise_amplification(
        reconstruct, E.range_shape, mask=mask, replicas=replicas, device=setup.device, progress=progress
    )
    inside = _object(one, used.mask)
    accel = _nominal(undersampling, E)
    return NoiseMaps(
        lam=lam,
        true_acceleration=1.0 if mask is None else true_acceleration(mask),
        replicas=replicas,
        amplification=_masked(amplification, inside),
        gfactor=None if accel is None else _masked(gfactor_uniform(E.maps * inside.to(E.maps.device), accel), inside),
        accel=accel,
        bias=None if one.mask is not None else _masked(_bias(full, E, reconstruct), inside),
    )


def noise_figure(found: NoiseMaps) -> Figure:
    """Noise amplification without and with regularization; the color scale ends at lambda, the bound."""
    pictures = {f"True R = {found.true_acceleration:.2f}, λ = {found.lam:g}": found.amplification}
    if found.gfactor is not None and found.accel is not None:
        pictures = {f"R = {found.accel}, unregularized": found.gfactor * found.accel**0.5, **pictures}
    return map_figure(pictures, f"noise amplification; λ = {found.lam:g} is the bound", (0, found.lam))


def noise_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    undersampling: MaskSpec | None = None,
    *,
    index: int | None = None,
    lam: float = 5.0,
    replicas: int = 100,
    setup: Setup | None = None,
    maps: Path | None = None,
    keep_oversampling: bool = False,
    axes: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure a slice of a file; write ``NAME.h5`` (the maps), ``NAME.png`` and ``NAME.json``, all of them or none.

    Parameters
    ----------
    path : path
        File that `kascade.data.load` reads.
    out : path
        Folder, which is made where it is missing.
    index : int, optional
        Slice; the middle one by default.
    maps, keep_oversampling, axes
        As `kascade.recon.prepare.prepare_scan`.
    force : bool
        Replace existing files.
    undersampling, lam, replicas, setup, progress
        As `noise_maps`.

    Returns
    -------
    dict
        The content of ``NAME.json``.

    Raises
    ------
    KascadeError
        If the file cannot be read or measured, or an output exists (and not `force`) or cannot be written.
    """
    folder, name = Path(out), result_name(path)
    make_folder(folder)
    outputs = [folder / f"{name}.h5", folder / f"{name}.png", folder / f"{name}.json"]
    with all_or_none(outputs, force) as (h5, png, report):
        scan, sampling = prepare_scan(path, None, keep_oversampling, maps, axes)
        index = len(scan) // 2 if index is None else index
        if not 0 <= index < len(scan):
            raise ConfigError(f"{path}: there is no slice {index}; it has {len(scan)}, counted from 0")
        found = noise_maps(scan, index, undersampling, lam, replicas, setup, progress)
        facts = {
            "input": os.fspath(path),
            "slice": index,
            "sampling": sampling if undersampling is None else f"{undersampling.kind}, R = {undersampling.accel:g}",
            **found.facts(),
            "outputs": [os.fspath(output) for output in outputs],
        }
        with h5py.File(h5, "w") as file:
            for key, values in found.maps().items():
                file[key] = values
        save_figure(noise_figure(found), png)
        report.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def _nominal(undersampling: MaskSpec | None, E: Encoding) -> int | None:
    """R where the closed form of the g-factor exists."""
    if undersampling is None or undersampling.kind != "uniform" or E.sets is not None:
        return None
    accel = int(undersampling.accel)
    return accel if E.maps.shape[-1] % accel == 0 else None


def _bias(full: Tensor, E: Encoding, reconstruct: Callable[[Tensor], Tensor]) -> Tensor:
    """Relative change of the image of `full` k-space when it is sampled and reconstructed without further noise."""
    x = Encoding(E.maps, sets=E.sets).H(full)
    shown = x if E.sets is None else torch.linalg.vector_norm(x, dim=-3)
    return (reconstruct(E(x)) - shown).abs() / torch.quantile(shown.abs(), 0.99)


def _object(scan: Scan, mask: Tensor | None) -> Tensor:
    """Where the object is, holes included: by the image of the central lines if others are missing."""
    from scipy import ndimage

    kspace = scan.kspace[0]
    if mask is not None and mask.ndim == 1 and scan.mask is not None:
        center = acs_columns(mask)
        window = torch.zeros_like(mask)
        window[center] = 1
        kspace = kspace * window
    image = rss(ifft(kspace))
    bright = (image > OBJECT * torch.quantile(image, 0.99)).numpy()
    return torch.from_numpy(ndimage.binary_fill_holes(ndimage.binary_closing(bright, iterations=3)))


def _masked(values: Tensor, inside: Tensor) -> NDArray[np.float32]:
    shown: NDArray[np.float32] = values.cpu().float().masked_fill(~inside, torch.nan).numpy()
    return shown
