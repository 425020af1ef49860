"""ISMRMRD raw files for tests, written through the ismrmrd package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["header", "readout", "write_raw"]


def header(
    matrix: tuple[int, int, int],
    first: tuple[int, int, int] | None = None,
    second: tuple[int, int, int] | None = None,
    calibration: str | None = None,
    trajectory: str = "cartesian",
    encodings: int = 1,
) -> str:
    """Header whose limits are (minimum, maximum, center); further encodings have half the matrix."""

    def space(name: str, size: tuple[int, ...]) -> str:
        axes = list(zip("xyz", size, strict=True))
        return (
            f"<{name}><matrixSize>{''.join(f'<{a}>{n}</{a}>' for a, n in axes)}</matrixSize>"
            f"<fieldOfView_mm>{''.join(f'<{a}>{2.0 * n}</{a}>' for a, n in axes)}</fieldOfView_mm></{name}>"
        )

    def limit(number: int, values: tuple[int, int, int] | None) -> str:
        if values is None:
            return ""
        parts = zip(("minimum", "maximum", "center"), values, strict=True)
        name = f"kspace_encoding_step_{number}"
        return f"<{name}>{''.join(f'<{part}>{value}</{part}>' for part, value in parts)}</{name}>"

    mode = f"<calibrationMode>{calibration}</calibrationMode>" if calibration else ""
    body = ""
    for number in range(encodings):
        size = matrix if number == 0 else tuple(max(n // 2, 1) for n in matrix)
        body += (
            f"<encoding>{space('encodedSpace', size)}{space('reconSpace', size)}"
            f"<encodingLimits>{limit(1, first)}{limit(2, second)}</encodingLimits>"
            f"<trajectory>{trajectory}</trajectory><parallelImaging>{mode}</parallelImaging></encoding>"
        )
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        "<measurementInformation><protocolName>head</protocolName></measurementInformation>"
        "<experimentalConditions><H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions>"
        f"{body}</ismrmrdHeader>"
    )


def readout(
    samples: np.ndarray,
    column: int = 0,
    partition: int = 0,
    flags: Iterable[int] = (),
    center: int | None = None,
    discard: tuple[int, int] = (0, 0),
    dwell_us: float = 10.0,
    space: int = 0,
    **counters: int,
) -> Any:
    """One acquisition of (coil, samples)."""
    import ismrmrd

    acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(samples, np.complex64))
    acquisition.idx.kspace_encode_step_1 = column
    acquisition.idx.kspace_encode_step_2 = partition
    for name, value in counters.items():
        setattr(acquisition.idx, name, value)
    for flag in flags:
        acquisition.set_flag(flag)
    acquisition.center_sample = samples.shape[1] // 2 if center is None else center
    acquisition.discard_pre, acquisition.discard_post = discard
    acquisition.sample_time_us = dwell_us
    acquisition.encoding_space_ref = space
    return acquisition


def write_raw(path: Path, xml: str | bytes | None, acquisitions: Iterable[Any], group: str = "dataset") -> Path:
    import ismrmrd

    with ismrmrd.Dataset(str(path), group) as dataset:
        if xml is not None:
            dataset.write_xml_header(xml)
        for acquisition in acquisitions:
            dataset.append_acquisition(acquisition)
    return path
