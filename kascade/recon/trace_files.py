"""What every iteration of a cascade made, as a file and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from torch import Tensor

from kascade import __version__
from kascade.data import Scan, crop_to_recon
from kascade.data.formats.hdf5_output import H5Output, create_hdf5
from kascade.errors import ConfigError
from kascade.recon.method import Reconstruction
from kascade.report.canvas import save_figure, upper_limit
from kascade.report.grid import Panel, image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Record", "trace_figure", "trace_files"]

Record = Callable[[int, Reconstruction], None]
"""Called as record(slice, reconstruction), whose steps and trace are kept."""

_IMAGES = {
    "x": "image after the SENSE step of each iteration",
    "z": "image after the network of each iteration",
}
_NUMBERS = {
    "lam": "lambda of each SENSE step: upper bound on its noise amplification",
    "cg_iterations": "conjugate-gradient iterations of each SENSE step",
    "residual": "||E x - y|| / ||y|| over the acquired samples, after each SENSE step",
}
_PER_ROW = 7  # iterations side by side in the figure
_CHANGE_SCALE = 5


@contextmanager
def trace_files(h5: Path, png: Path, scan: Scan, source: str) -> Iterator[Record]:
    """Write the steps of every slice to an HDF5 file, and those of the middle slice as a figure.

    Parameters
    ----------
    h5, png : Path
        Files to write. The first gets the data sets `x` and `z`, complex64, (slices, iterations, rows, columns),
        cropped as the results are, and `lam`, `cg_iterations` and `residual`, (slices, iterations).
    scan : Scan
        What is reconstructed.
    source : str
        Name of its file.

    Yields
    ------
    callable
        To be called with each slice and its reconstruction.

    Raises
    ------
    ConfigError
        If a reconstruction has no steps.
    OutputError
        If a file cannot be written.
    """
    with create_hdf5(h5) as output:

        def record(index: int, result: Reconstruction) -> None:
            if not result.steps:
                raise ConfigError("trace: this model has no SENSE steps and images between them to be traced")
            steps = {name: crop_to_recon(images, scan.header) for name, images in result.steps.items()}
            if index == 0:
                _describe(output.file, result, source)
            _append(output, steps, result.trace or [], len(scan))
            if index == len(scan) // 2:
                network_first = result.info.get("cascade") == "modl"
                title = f"{scan.name}, slice {index}"
                save_figure(trace_figure(steps, result.trace or [], title, network_first), png)

        yield record


def _describe(file: h5py.File, result: Reconstruction, source: str) -> None:
    model = result.info.get("model", {})
    file.attrs.update({"kascade": __version__, "input": source, "method": result.info["method"]})
    file.attrs.update({"model": model.get("name", ""), "model_sha256": model.get("sha256", "")})


def _append(output: H5Output, steps: dict[str, Tensor], trace: Sequence[dict[str, float]], slices: int) -> None:
    """Add one slice to each data set."""
    arrays = {name: images.cpu().numpy().astype(np.complex64) for name, images in steps.items()}
    kinds = {"cg_iterations": np.int64}
    numbers = {
        name: np.array([record[name] for record in trace], kinds.get(name, np.float32))
        for name in _NUMBERS
        if trace and name in trace[0]
    }
    for name, values in {**arrays, **numbers}.items():
        if name not in output.file:
            whole, piece = (slices, *values.shape), (1, 1, *values.shape[1:])
            made = output.file.create_dataset(name, (0, *whole[1:]), values.dtype, maxshape=whole, chunks=piece)
            made.attrs["meaning"] = (_IMAGES | _NUMBERS)[name]
            made.attrs["axes"] = "slice,iteration" + (",rows,columns" if name in arrays else "")
        dataset = output.file[name]
        dataset.resize(len(dataset) + 1, axis=0)
        dataset[-1] = values
    output.check()


def trace_figure(
    steps: dict[str, Tensor],
    trace: Sequence[dict[str, float]],
    title: str | None = None,
    network_first: bool = False,
) -> Figure:
    """Iteration by iteration: the image after the SENSE step, after the network, and what the second one changed.

    Parameters
    ----------
    steps : dict
        "x" and "z", (iterations, rows, columns), as in `Reconstruction.steps`; one of them may be a step longer.
    trace : sequence of dict
        "lam", "cg_iterations" and "residual" of each SENSE step.
    title : str, optional
        Line above it all.
    network_first : bool
        In each iteration the network comes before the SENSE step, as in MoDL.

    Returns
    -------
    Figure
    """
    x, z = ([image.cpu().numpy() for image in steps.get(name, ())] for name in ("x", "z"))
    high = upper_limit(abs((x or z)[-1]))
    rows: list[list[Panel | None]] = []
    names: list[str] = []
    count = max(len(x), len(z))
    for first in range(0, count, _PER_ROW):
        numbers = range(first, min(first + _PER_ROW, count))
        pair = [(name, images) for name, images in (("x: after\nSENSE", x), ("z: after\nnetwork", z)) if images]
        for place, (name, images) in enumerate(pair[::-1] if network_first else pair):
            heads = [(f"iteration {n + 1}", _detail(trace, n)) if place == 0 else ("", "") for n in numbers]
            rows.append([Panel(images[n], *heads[n - first], high) if n < len(images) else None for n in numbers])
            names.append(name)
        if len(pair) == 2:
            changes = [abs(z[n] - x[n]) if n < min(len(x), len(z)) else None for n in numbers]
            rows.append([None if c is None else Panel(c, "", "", high / _CHANGE_SCALE, "inferno") for c in changes])
            names.append(f"|z - x|\n{_CHANGE_SCALE} x brighter")
    return image_grid(rows, names, title)


def _detail(trace: Sequence[dict[str, float]], n: int) -> str:
    if n >= len(trace):
        return ""
    step = trace[n]
    solve = f"λ {step['lam']:.3g}, {step['cg_iterations']:.0f} CG, " if "lam" in step else ""
    return f"{solve}residual {step['residual']:.2g}"
