"""Writers of foreign formats that the tests need and the package does not."""

from __future__ import annotations

from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np

__all__ = ["damaged", "random_kspace", "write_cfl", "write_mat73"]


def random_kspace(*shape: int, dtype: type = np.complex64) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def write_cfl(stem: Path, array: np.ndarray, dims: tuple[int, ...] | None = None) -> Path:
    """BART pair: `array` in Fortran order; `dims` overrides what the header says."""
    dims = array.shape if dims is None else dims
    stem.with_name(f"{stem.name}.hdr").write_text("# Dimensions\n" + " ".join(map(str, dims)) + "\n")
    path = stem.with_name(f"{stem.name}.cfl")
    path.write_bytes(np.asarray(array, "<c8").tobytes(order="F"))
    return path


def write_mat73(path: Path, arrays: dict[str, np.ndarray], header: bool = True, compression: str | None = None) -> Path:
    """MATLAB v7.3: HDF5 behind a 512-byte text header, axes reversed, complex numbers as (real, imag) pairs."""
    with h5py.File(path, "w", userblock_size=512 if header else 0) as file:
        for name, array in arrays.items():
            stored = np.atleast_2d(array).T
            if np.iscomplexobj(stored):
                part = np.float32 if stored.dtype == np.complex64 else np.float64
                pair = np.empty(stored.shape, [("real", part), ("imag", part)])
                pair["real"], pair["imag"] = stored.real, stored.imag
                stored = pair
            dataset = file.create_dataset(name, data=stored, compression=compression)
            kind = "single" if stored.dtype.itemsize == 8 and stored.dtype.names else "double"
            dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    if header:
        with path.open("r+b") as file:
            file.write(
                b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Nov 21 2026 HDF5 schema 1.00 .".ljust(116)
            )
            file.write(b"\0" * 8 + b"\x00\x02IM")
    return path


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with some bytes changed, most of them in its first 400, and perhaps its end cut off."""
    damage = bytearray(content)
    for place, value in draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)):
        damage[place if draw(st.booleans()) else place % 400] = value
    return bytes(damage[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else damage)
