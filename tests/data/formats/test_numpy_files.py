"""NumPy files: mapped where possible, never unpickled, damage named."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from kascade.data import load
from kascade.data.formats import numpy_files
from kascade.data.formats.arrays import MappedArray
from kascade.errors import ConfigError, FileFormatError
from tests.data.files import damaged, random_kspace

KSPACE = random_kspace(2, 3, 6, 5)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@given(
    array=hnp.arrays(
        st.sampled_from(["<c8", ">c8", "<c16"]),
        hnp.array_shapes(min_dims=4, max_dims=4, max_side=4),
        elements=st.complex_numbers(max_magnitude=1e6, width=64),
    ),
    fortran=st.booleans(),
    kind=st.sampled_from(["npy", "npz", "compressed"]),
)
def test_every_sample_survives(tmp_path_factory, array, fortran, kind):
    path = tmp_path_factory.getbasetemp() / f"any.{kind[:3]}"
    array = np.asfortranarray(array) if fortran else array
    with path.open("wb") as file:
        if kind == "npy":
            np.save(file, array)
        elif kind == "npz":
            np.savez(file, kspace=array)
        else:
            np.savez_compressed(file, kspace=array)
    scan = load(path)
    assert scan.kspace.shape == array.shape
    for index in range(len(scan)):
        assert torch.equal(scan.kspace[index], torch.from_numpy(array[index].astype(np.complex64)))


def test_axes_are_not_guessed(tmp_path):
    path = save(tmp_path / "scan.npy", KSPACE[0])
    with pytest.raises(FileFormatError, match="--axes coil,rows,columns or --axes slice,rows,columns"):
        load(path)
    assert load(path, "coil,rows,columns").kspace.shape == (1, 3, 6, 5)
    assert load(path, "slice,rows,columns").kspace.shape == (3, 1, 6, 5)
    turned = load(path, "coil,columns,rows")
    assert torch.equal(turned.kspace[0], torch.from_numpy(KSPACE[0].swapaxes(1, 2).copy()))
    with pytest.raises(ConfigError, match="names 4 axes"):
        load(path, "slice,coil,rows,columns")


def test_two_axes_are_one_coil(tmp_path):
    scan = load(save(tmp_path / "scan.npy", KSPACE[0, 0]))
    assert scan.kspace.shape == (1, 1, 6, 5) and scan.name == "scan"


def test_content_decides_not_the_name(tmp_path):
    path = save(tmp_path / "scan.npy", KSPACE)
    path.rename(tmp_path / "scan.h5")
    assert load(tmp_path / "scan.h5").kspace.shape == KSPACE.shape
    (tmp_path / "fake.npy").write_text("not an array at all")
    assert not numpy_files.matches(tmp_path / "fake.npy")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    assert not numpy_files.matches(tmp_path / "other.npz")
    assert not numpy_files.matches(tmp_path / "absent.npy")


def test_stored_members_are_mapped_and_compressed_ones_are_not_pickled(tmp_path):
    big = random_kspace(2, 4, 64, 64)
    np.savez(tmp_path / "stored.npz", other=np.ones(7), kspace=big)
    np.savez_compressed(tmp_path / "packed.npz", other=np.ones(7), kspace=big)
    for name in ("stored.npz", "packed.npz"):
        scan = load(tmp_path / name)
        assert isinstance(scan.kspace.source.array, MappedArray) == (name == "stored.npz")
        assert torch.equal(scan.kspace[1], torch.from_numpy(big[1]))
        stored = pickle.dumps(scan)
        assert len(stored) < big.nbytes / 10
        assert torch.equal(pickle.loads(stored).kspace[1], scan.kspace[1])


def test_pickled_objects_are_never_executed(tmp_path):
    mark = tmp_path / "executed"
    bomb = np.array([Bomb(mark)], dtype=object)
    paths = [save(tmp_path / "scan.npy", bomb), tmp_path / "scan.npz", tmp_path / "packed.npz", tmp_path / "raw.npy"]
    np.savez(paths[1], kspace=bomb)
    np.savez_compressed(paths[2], kspace=bomb)
    paths[3].write_bytes(pickle.dumps(Bomb(mark)))
    for path in paths[:3]:
        with pytest.raises(FileFormatError, match="pickled Python objects, which are never loaded"):
            load(path)
    with pytest.raises(FileFormatError, match="of no known format"):
        load(paths[3])
    np.savez(tmp_path / "aside.npz", kspace=KSPACE, notes=bomb)
    assert load(tmp_path / "aside.npz").kspace.shape == KSPACE.shape
    np.savez(tmp_path / "mask.npz", kspace=KSPACE, mask=bomb)
    with pytest.raises(FileFormatError, match=r"mask\.npy: holds pickled"):
        load(tmp_path / "mask.npz")
    assert not mark.exists()


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_, np.uint64])
def test_samples_that_are_not_complex_are_refused(tmp_path, dtype):
    path = save(tmp_path / "scan.npy", np.ones((2, 3, 6, 5), dtype))
    with pytest.raises(FileFormatError, match=f"samples are {np.dtype(dtype)}; expected complex64"):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j * np.nan])
def test_nan_and_inf_are_refused_naming_the_slice(tmp_path, value):
    array = KSPACE.copy()
    array[1, 2, 3, 4] = value
    scan = load(save(tmp_path / "scan.npy", array))
    assert torch.equal(scan.kspace[0], torch.from_numpy(KSPACE[0]))
    with pytest.raises(FileFormatError, match=r"scan\.npy: kspace: slice 1 holds 1 NaN or Inf"):
        scan.kspace[1]


def test_complex128_beyond_float32_is_refused(tmp_path):
    scan = load(save(tmp_path / "scan.npy", np.full((1, 1, 2, 2), 1e200, np.complex128)))
    with pytest.raises(FileFormatError, match="slice 0 holds 4 NaN or Inf"):
        scan.kspace[0]


@pytest.mark.parametrize("kind", ["npy", "npz", "packed"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_truncated_files_are_refused_in_one_line(tmp_path, kind, share):
    path = tmp_path / f"scan.{kind}"
    with path.open("wb") as file:
        if kind == "npy":
            np.save(file, random_kspace(2, 3, 16, 16))
        else:
            (np.savez if kind == "npz" else np.savez_compressed)(file, kspace=random_kspace(2, 3, 16, 16))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match=r"truncated|damaged|no known format") as caught:
        load(path).kspace[0]
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_compressed_member_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez_compressed(path, kspace=random_kspace(2, 3, 32, 32))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"kspace\.npy is truncated or damaged"):
        load(path).kspace[0]


def npy_with_header(path: Path, header: str) -> Path:
    text = header.encode().ljust(118) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64)
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (4611686018427387904, 4, 4, 4)}", "truncated"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (99999, 99999, 4, 4)}", "truncated"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (-1, 1, 2, 2)}", "damaged|holds nothing"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (0, 1, 2, 2)}", "holds nothing"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': ()}", "holds nothing"),
        ("{'descr': '<c8', 'fortran_order': False}", "damaged .npy header"),
        ("{'descr': 'nonsense', 'fortran_order': False, 'shape': (2, 2)}", "damaged .npy header"),
        ("__import__('os').system('true')", "damaged .npy header"),
        ("", "damaged .npy header"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, header, message):
    with pytest.raises(FileFormatError, match=message):
        load(npy_with_header(tmp_path / "scan.npy", header))


def content_of(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, KSPACE)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(stream, kspace=KSPACE, mask=np.ones(5))
    return stream.getvalue()


@settings(deadline=None, max_examples=150)
@given(content=st.sampled_from(["npy", "npz", "packed"]).map(content_of).flatmap(damaged))
def test_no_damage_raises_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        scan = load(path)
        read = [scan.kspace[index] for index in range(min(len(scan), 3))]
    except FileFormatError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(slice_.shape == scan.kspace.shape[1:] for slice_ in read)


def test_an_encrypted_member_is_refused(tmp_path):
    np.savez(tmp_path / "scan.npz", kspace=KSPACE)
    content = bytearray((tmp_path / "scan.npz").read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1
    (tmp_path / "scan.npz").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"damaged .npz archive"):
        load(tmp_path / "scan.npz")


def test_empty_files_are_refused(tmp_path):
    for name in ("scan.npy", "scan.npz"):
        (tmp_path / name).touch()
        with pytest.raises(FileFormatError, match="empty file"):
            load(tmp_path / name)


def test_real_files(real_data):
    gre = load(real_data / "kspace" / "gre_32ch.npy")
    stored = np.load(real_data / "kspace" / "gre_32ch.npy")
    assert gre.kspace.shape == (2, 32, 100, 100)
    assert torch.equal(gre.kspace[1], torch.from_numpy(stored[1]))
    with pytest.raises(FileFormatError, match="--axes"):
        load(real_data / "kspace" / "brain_alias_8ch.npy")
    assert load(real_data / "kspace" / "brain_alias_8ch.npy", "coil,rows,columns").kspace.shape == (1, 8, 320, 168)
    low_field = load(real_data / "lowfield" / "brain_fse_0p055T_kspace.npy", "slice,rows,columns")
    assert low_field.kspace.shape == (4, 1, 128, 126)
    with pytest.raises(FileFormatError, match="expected complex"):
        load(real_data / "lowfield" / "brain_t1w_3T_image.npy")
