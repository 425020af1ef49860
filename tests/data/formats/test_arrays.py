"""Lazy arrays: slices come in the right order of axes, nothing stays open, pickles are small."""

from __future__ import annotations

import os
import pickle
from functools import partial
from itertools import permutations
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from kascade.data.formats.arrays import ArraySource, LoadedArray, MappedArray, check_complex, one_line
from kascade.data.formats.axes import AXES
from kascade.errors import FileFormatError
from tests.data.files import random_kspace

KSPACE = random_kspace(3, 2, 5, 4)


def map_of(path: Path, array: np.ndarray, order: str = "C", offset: int = 0) -> MappedArray:
    path.write_bytes(b"x" * offset + array.tobytes(order=order))
    return MappedArray(path, array.shape, array.dtype, offset, order)


@given(names=st.sampled_from(list(permutations(AXES))), order=st.sampled_from("CF"), offset=st.integers(0, 9))
def test_any_order_of_axes_gives_coil_rows_columns(tmp_path_factory, names, order, offset):
    stored = KSPACE.transpose([AXES.index(name) for name in names])
    source = ArraySource(map_of(tmp_path_factory.getbasetemp() / "a", stored, order, offset), names)
    assert source.shape == KSPACE.shape
    for index in range(3):
        assert torch.equal(source[index], torch.from_numpy(KSPACE[index]))


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (("coil", "rows", "columns"), KSPACE[:1]),
        (("slice", "columns", "rows"), KSPACE[:, :1]),
        (("rows", "columns"), KSPACE[:1, :1]),
    ],
)
def test_missing_axes_have_length_one(tmp_path, names, part):
    left = [name for name in AXES if name in names]
    squeezed = part.reshape([n for n, name in zip(part.shape, AXES, strict=True) if name in names])
    stored = squeezed.transpose([left.index(name) for name in names])
    source = ArraySource(map_of(tmp_path / "a", np.ascontiguousarray(stored)), names)
    assert source.shape == part.shape
    for index in range(len(part)):
        assert torch.equal(source[index], torch.from_numpy(part[index]))


@pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16", ">c16"])
def test_both_precisions_and_byte_orders_become_complex64(tmp_path, dtype):
    source = ArraySource(map_of(tmp_path / "a", KSPACE.astype(dtype)), AXES)
    assert source[1].dtype == torch.complex64
    assert torch.equal(source[1], torch.from_numpy(KSPACE[1]))


def test_what_float32_cannot_hold_becomes_inf(tmp_path):
    source = ArraySource(map_of(tmp_path / "a", np.full((2, 2), 1e300, np.complex128)), ("rows", "columns"))
    assert not torch.isfinite(source[0]).any()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_nothing_stays_open(tmp_path):
    source = ArraySource(map_of(tmp_path / "a", KSPACE), AXES)
    before = len(os.listdir("/proc/self/fd"))
    kept = [source[i] for i in (0, 1, 2, 0, 1, 2)]
    assert len(os.listdir("/proc/self/fd")) == before
    maps = Path("/proc/self/maps").read_text()
    assert str(tmp_path / "a") not in maps and len(kept) == 6


def test_a_slice_is_a_copy(tmp_path):
    source = ArraySource(map_of(tmp_path / "a", KSPACE), AXES)
    source[0].zero_()
    assert torch.equal(source[0], torch.from_numpy(KSPACE[0]))


def test_a_file_that_shrank_is_named(tmp_path):
    source = ArraySource(map_of(tmp_path / "a", KSPACE), AXES)
    (tmp_path / "a").write_bytes(b"short")
    with pytest.raises(FileFormatError, match="changed or vanished"):
        source[0]


def load_and_count(counter: Path) -> np.ndarray:
    counter.write_text(counter.read_text() + "x")
    return KSPACE


def test_loaded_once_and_not_pickled(tmp_path):
    counter = tmp_path / "loads"
    counter.write_text("")
    source = ArraySource(LoadedArray(KSPACE.shape, KSPACE.dtype, partial(load_and_count, counter)), AXES)
    assert counter.read_text() == ""
    assert torch.equal(source[2], torch.from_numpy(KSPACE[2]))
    assert torch.equal(source[0], torch.from_numpy(KSPACE[0]))
    assert counter.read_text() == "x"
    stored = pickle.dumps(source)
    assert len(stored) < KSPACE.nbytes
    assert torch.equal(pickle.loads(stored)[1], torch.from_numpy(KSPACE[1]))
    assert counter.read_text() == "xx"


@pytest.mark.parametrize("dtype", ["f4", "i2", "u8", "?", "O", "S3", [("r", "f4"), ("i", "f4")]])
def test_only_complex_samples_pass(dtype):
    with pytest.raises(FileFormatError, match="expected complex64 or complex128"):
        check_complex(np.dtype(dtype), "f")
    check_complex(np.dtype("c8"), "f")
    check_complex(np.dtype("c16"), "f")


def test_one_line():
    assert one_line(ValueError("two\nlines ")) == "two lines"
    assert one_line(EOFError()) == "EOFError"
