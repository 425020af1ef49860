"""What is in a scan: the facts that `kascade inspect` shows."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import Tensor

from kascade.data import Header, Scan
from kascade.data.masks import acs_columns, acs_rectangle, infer_mask, true_acceleration
from kascade.errors import KascadeError
from kascade.physics import ifft
from kascade.physics.noise import corner_noise, noise_covariance
from kascade.physics.rss import rss

__all__ = ["summarize"]


def summarize(scan: Scan) -> dict[str, Any]:
    """Facts about a scan, all that JSON can hold; reads every slice.

    Parameters
    ----------
    scan : Scan
        As it was loaded.

    Returns
    -------
    dict
        "name", "file", "slices", "coils", "matrix" (rows, columns), "header" (what it says, without what it does not),
        "sampling" (source of the mask, true acceleration, calibration lines), "shots" (number, largest stored shift in
        px and angle in degrees; None where the file names no shots), "noise" (source, standard deviation per
        real and imaginary part together, SNR of the middle slice), "target", "maps", "attributes" and "problems".
    """
    mask, source = scan.mask, "stored"
    problems = scan.problems()
    if mask is None:
        try:
            mask = infer_mask(scan.kspace)
            source = "none: fully sampled" if mask is None else "inferred from the zeros of k-space"
        except KascadeError:  # damage and all-zero data are among the problems
            source = "unknown"
    return {
        "name": scan.name,
        "file": None if scan.path is None else str(scan.path),
        "slices": len(scan),
        "coils": scan.coils,
        "matrix": list(scan.matrix),
        "header": header_facts(scan.header),
        "sampling": {"mask": source, **({} if mask is None else _sampling(mask, scan.header))},
        "shots": _shots(scan),
        "noise": _noise(scan),
        "target": None if scan.targets is None else {"name": scan.target_name, "shape": list(scan.targets.shape)},
        "maps": None if scan.maps is None else list(scan.maps.shape),
        "attributes": dict(scan.attributes),
        "problems": problems,
    }


def header_facts(header: Header) -> dict[str, Any]:
    """Fields of the header that say something."""
    values = {field.name: getattr(header, field.name) for field in fields(header)}
    facts = {name: value for name, value in values.items() if value is not None and value != ()}
    if facts:
        facts["readout_oversampling"] = header.readout_oversampling
    if header.spacing_mm is not None:
        facts["spacing_mm"] = header.spacing_mm
    return facts


def _sampling(mask: Tensor, header: Header) -> dict[str, Any]:
    columns = mask.shape[-1]
    facts: dict[str, Any] = {
        "kind": "columns" if mask.ndim == 1 else "rows and columns",
        "true_acceleration": true_acceleration(mask),
    }
    if mask.ndim == 1:
        center = acs_columns(mask)
        facts["acs_columns"] = center.stop - center.start
    else:
        facts["acs_block"] = [part.stop - part.start for part in acs_rectangle(mask)]
    left, right = header.padding(columns)
    if (left, right) != (0, columns):
        facts["acquired_columns"] = [left, right]
    return facts


def _shots(scan: Scan) -> dict[str, Any] | None:
    """How the acquisition is divided into shots, and how much the patient moved between them."""
    if scan.shots is None:
        return None
    facts: dict[str, Any] = {"number": int(scan.shots.max()) + 1}
    if scan.motion is not None:
        shifts = scan.motion.shape[1] - (1 if scan.motion.shape[1] == 3 else 3)
        facts["largest_shift_px"] = float(scan.motion[:, :shifts].abs().max())
        facts["largest_angle_deg"] = float(scan.motion[:, shifts:].abs().max())
    return facts


def _noise(scan: Scan) -> dict[str, Any]:
    """Noise from what is stored, else from the corners of k-space of the middle slice."""
    kspace = scan.kspace[len(scan) // 2]
    try:
        if scan.noise_covariance is not None:
            covariance, source = scan.noise_covariance, "stored covariance"
        elif scan.noise is not None:
            covariance, source = noise_covariance(scan.noise), "stored noise samples"
        else:
            covariance, source = noise_covariance(corner_noise(kspace)), "corners of k-space (an upper bound)"
    except KascadeError as error:
        return {"source": f"unknown: {error}"}
    deviation = float(covariance.diagonal().real.mean().sqrt())
    image = rss(ifft(kspace))
    bright = float(image.quantile(0.99)) if image.numel() < 2**24 else float(image.max())
    return {"source": source, "standard_deviation": deviation, "peak_snr": bright / deviation if deviation else None}
