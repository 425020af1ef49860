"""MATLAB v5 arrays: equal to what SciPy reads, also of files that MATLAB wrote; damage never crashes."""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings

from kascade.data.formats.mat5 import numeric_arrays
from kascade.errors import FileFormatError
from tests.data.files import damaged, random_kspace

KSPACE = random_kspace(4, 3, 2)
TYPES = ["f4", "f8", "c8", "c16", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def content_of(packed: bool, **arrays) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, arrays, do_compression=packed)
    return stream.getvalue()


@settings(deadline=None)
@given(
    array=st.sampled_from(TYPES).flatmap(lambda t: hnp.arrays(t, hnp.array_shapes(max_dims=4))), packed=st.booleans()
)
def test_every_type_and_shape(tmp_path_factory, array, packed):
    path = tmp_path_factory.getbasetemp() / "any.mat"
    path.write_bytes(content_of(packed, first=np.ones(3), wanted=array))
    found = numeric_arrays(path)["wanted"]
    expected = scipy.io.loadmat(path)["wanted"]
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_array_equal(found.read(()), expected)


def test_structs_cells_and_text_are_passed_over(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(content_of(False, s={"kspace": KSPACE}, c=np.array([1, "a"], object), text="abc", kspace=KSPACE))
    assert list(numeric_arrays(path)) == ["kspace"]


def test_big_endian_and_numbers_stored_in_a_smaller_type(tmp_path):
    """MATLAB stores doubles that are small integers as such; here 2 x 3 doubles as unsigned bytes."""

    def part(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    array = (
        part(6, struct.pack(">II", 6, 0))
        + part(5, struct.pack(">ii", 2, 3))
        + struct.pack(">HH4s", 1, 1, b"x")  # a small part: length and type in one word
        + part(2, bytes([1, 2, 3, 4, 5, 250]))
    )
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + part(14, array))
    np.testing.assert_array_equal(numeric_arrays(path)["x"].read(()), [[1.0, 3, 5], [2, 4, 250]])
    np.testing.assert_array_equal(scipy.io.loadmat(path)["x"], [[1.0, 3, 5], [2, 4, 250]])


def matlab_files() -> list[Path]:
    """Files that MATLAB itself wrote, which come with SciPy's tests (left out of some distributions)."""
    spec = find_spec("scipy.io.matlab")
    folder = Path(spec.origin).parent / "tests" / "data" if spec and spec.origin else Path()
    return sorted(path for path in folder.glob("test*_[67].*.mat") if b"MATLAB 5.0" in path.read_bytes()[:32])


def test_files_of_matlab():
    files = matlab_files()
    if not files:
        pytest.skip("this SciPy came without its test data, which hold files written by MATLAB")
    compared = 0
    for path in files:
        for name, array in numeric_arrays(path).items():
            np.testing.assert_array_equal(array.read(()), scipy.io.loadmat(path)[name])
            compared += 1
    assert compared > 10


@settings(deadline=None, max_examples=200)
@given(content=st.booleans().map(lambda packed: content_of(packed, kspace=KSPACE, mask=np.ones(3))).flatmap(damaged))
def test_no_damage_raises_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    path.write_bytes(content)
    try:
        arrays = {name: array.read(()) for name, array in numeric_arrays(path).items()}
    except FileFormatError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(array.size * array.itemsize <= 64 * len(content) for array in arrays.values())


def test_a_bad_type_that_crashes_scipy_is_refused(tmp_path):
    """The type of the imaginary part set to 0: SciPy 1.17 ends the process with a segmentation fault."""
    content = bytearray(content_of(False, kspace=KSPACE))
    tag = struct.pack("<II", 7, KSPACE.size * 4)
    imaginary = content.index(tag, content.index(tag) + 1)
    content[imaginary] = 0
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="part of type 0 and 96 bytes"):
        numeric_arrays(path)["kspace"].read(())


def test_damaged_compressed_samples_are_found_by_their_checksum(tmp_path):
    content = bytearray(content_of(True, kspace=KSPACE))
    content[-2] ^= 1
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="truncated or damaged MATLAB file"):
        numeric_arrays(path)["kspace"].read(())
