"""BART files: what the dimensions mean, damaged pairs, and agreement with the bart program."""

from __future__ import annotations

import math
import pickle
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import assume, given

from kascade.data import load
from kascade.data.formats import bart
from kascade.errors import ConfigError, FileFormatError
from kascade.physics.fourier import ifft
from tests.data.files import random_kspace, write_cfl


def bart_dims(**dims: int) -> tuple[int, ...]:
    """16 dimensions, those named d0, d1, ... set."""
    return tuple(dims.get(f"d{d}", 1) for d in range(16))


@pytest.mark.parametrize(
    ("dims", "axes"),
    [
        (bart_dims(d1=6, d2=5, d3=3), "rows,columns,coil"),  # as full.cfl
        (bart_dims(d0=6, d1=5, d3=3), "rows,columns,coil"),
        (bart_dims(d0=6, d2=5, d3=3), "rows,columns,coil"),
        (bart_dims(d0=6, d1=5), "rows,columns"),
        (bart_dims(d0=6, d1=5, d3=3, d13=2), "rows,columns,coil,slice"),
        (bart_dims(d0=6, d1=5, d13=2), "rows,columns,slice"),
        (bart_dims(d0=6, d1=5, d2=2, d3=3), "rows,columns,slice,coil"),
        ((6, 5, 1, 3), "rows,columns,coil"),  # fewer than 16 dimensions
    ],
)
def test_dimensions_mean_what_bart_says(tmp_path, dims, axes):
    array = random_kspace(*dims)
    scan = bart.read(write_cfl(tmp_path / "scan", array))
    names = axes.split(",")
    plain = array.squeeze()
    full = plain.reshape(plain.shape + (1,) * (4 - plain.ndim))
    names += [name for name in ("slice", "coil") if name not in names]
    expected = full.transpose([names.index(name) for name in ("slice", "coil", "rows", "columns")])
    assert scan.kspace.shape == expected.shape and scan.name == "scan"
    for index in range(len(scan)):
        assert torch.equal(scan.kspace[index], torch.from_numpy(np.ascontiguousarray(expected[index])))
    named = bart.read(tmp_path / "scan.cfl", axes)
    assert torch.equal(named.kspace[0], scan.kspace[0])


@given(st.lists(st.integers(1, 4), min_size=3, max_size=5))
def test_any_readable_dimensions_keep_every_sample(tmp_path_factory, dims):
    assume(sum(n > 1 for n in dims[:3]) >= 2 and (len(dims) < 5 or dims[4] == 1))
    array = random_kspace(*dims)
    scan = bart.read(write_cfl(tmp_path_factory.getbasetemp() / "any", array))
    samples = torch.cat([scan.kspace[i].flatten() for i in range(len(scan))])
    assert sorted(samples.real.tolist()) == sorted(array.real.ravel().tolist())


def test_three_spatial_dimensions_are_noted(tmp_path):
    scan = bart.read(write_cfl(tmp_path / "scan", random_kspace(6, 5, 2, 3)))
    assert "bart fft -i -u 4" in scan.notes[0]
    assert bart.read(tmp_path / "scan.cfl", "rows,columns,slice,coil").notes == ()


def test_axes_override_the_convention(tmp_path):
    array = random_kspace(6, 5, 3)
    scan = bart.read(write_cfl(tmp_path / "scan", array), "columns,rows,coil")
    assert scan.kspace.shape == (1, 3, 5, 6)
    assert torch.equal(scan.kspace[0], torch.from_numpy(array.transpose(2, 1, 0).copy()))
    with pytest.raises(ConfigError, match="names 4 axes"):
        bart.read(tmp_path / "scan.cfl", "slice,coil,rows,columns")


@pytest.mark.parametrize("name", ["my.scan.cfl", "my.scan.hdr", "my.scan"])
def test_either_file_or_the_stem_is_enough(tmp_path, name):
    array = random_kspace(6, 5, 1, 3)
    write_cfl(tmp_path / "my.scan", array)
    assert bart.matches(tmp_path / name)
    scan = load(tmp_path / name)
    assert scan.name == "my.scan" and scan.path == tmp_path / "my.scan.cfl"
    assert torch.equal(scan.kspace[0], torch.from_numpy(array[:, :, 0].transpose(2, 0, 1).copy()))


def test_other_files_do_not_match(tmp_path):
    (tmp_path / "analyze.hdr").write_bytes(b"\x5c\x01\x00\x00" + b"\0" * 344)
    (tmp_path / "scan").write_text("some other file")
    write_cfl(tmp_path / "scan", random_kspace(4, 4))
    assert not bart.matches(tmp_path / "analyze.hdr")
    assert not bart.matches(tmp_path / "scan")
    assert not bart.matches(tmp_path / "absent")
    assert not bart.matches(tmp_path)


def test_a_scan_is_pickled_without_its_samples(tmp_path):
    array = random_kspace(64, 64, 1, 4)
    scan = bart.read(write_cfl(tmp_path / "scan", array))
    stored = pickle.dumps(scan)
    assert len(stored) < array.nbytes / 10
    assert torch.equal(pickle.loads(stored).kspace[0], scan.kspace[0])


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (bart_dims(d0=4, d1=4, d4=2), r"dim 4 \(MAPS\) = 2"),
        (bart_dims(d0=4, d1=4, d3=2, d5=3, d10=2), r"dim 5 \(TE\) = 3, dim 10 \(TIME\) = 2"),
        (bart_dims(d0=4, d1=4, d14=2), r"dim 14 \(AVG\) = 2"),
        ((4, 4) + (1,) * 15 + (2,), "dim 17 .beyond BART's 16. = 2"),
        (bart_dims(d0=4, d3=2), "at least two longer than 1"),
        (bart_dims(), "at least two longer than 1"),
        (bart_dims(d0=4, d1=4, d2=2, d13=3), r"both dim 2 = 2 and dim 13 \(SLICE\) = 3"),
    ],
)
def test_dimensions_without_a_place_are_named(tmp_path, dims, message):
    with pytest.raises(FileFormatError, match=message):
        bart.read(write_cfl(tmp_path / "scan", np.ones(dims)))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "not a BART header"),
        (b"# Dimensions", "not a BART header"),
        (b"# Dimensions\nmany by few\n", "not a BART header"),
        (b"# Dimensions\n4.0 4\n", "not a BART header"),
        (b"\x00\xff" * 300, "not a BART header"),
        (b"# Dimensions\n" + b"9" * 5000, "not a BART header"),
        (b"# Dimensions\n\n4 4\n", "positive integers"),
        (b"# Dimensions\n4 0 4\n", "positive integers"),
        (b"# Dimensions\n-4 -4\n", "positive integers"),
        (b"# Dimensions\n4 4 2\n", "truncated: 128 bytes, but its .hdr asks for 256"),
        (b"# Dimensions\n2 4\n", "too long: 128 bytes, but its .hdr asks for 64"),
        (b"# Dimensions\n" + b"4294967296 " * 16, "truncated"),  # wraps to 0 in 64 bits
    ],
)
def test_damaged_headers_are_refused_in_one_line(tmp_path, header, message):
    path = write_cfl(tmp_path / "scan", np.ones((4, 4)))
    (tmp_path / "scan.hdr").write_bytes(header)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(tmp_path / "scan") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lacking", "given_", "message"),
    [
        (".hdr", "scan.cfl", r"scan\.hdr: missing; a BART file is a pair"),
        (".cfl", "scan.hdr", r"scan\.cfl: missing; a BART file is a pair"),
    ],
)
def test_half_a_pair_is_refused(tmp_path, lacking, given_, message):
    write_cfl(tmp_path / "scan", np.ones((4, 4)))
    (tmp_path / f"scan{lacking}").unlink()
    with pytest.raises(FileFormatError, match=message):
        load(tmp_path / given_)


def test_no_pair_at_all_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        load(tmp_path / "scan.cfl")
    (tmp_path / "scan.cfl").touch()
    with pytest.raises(FileFormatError, match="empty file"):
        load(tmp_path / "scan.cfl")


def test_nan_is_refused_naming_the_slice(tmp_path):
    array = random_kspace(4, 4, 1, 2, *(1,) * 9, 3)
    array[..., 1] = np.nan
    scan = bart.read(write_cfl(tmp_path / "scan", array))
    assert torch.isfinite(scan.kspace[0].abs()).all()
    with pytest.raises(FileFormatError, match=r"scan\.cfl: kspace: slice 1 holds 32 NaN"):
        scan.kspace[1]


def run_bart(folder: Path, *arguments: str) -> None:
    subprocess.run(["bart", *arguments], cwd=folder, check=True, capture_output=True)


def read_plain(stem: Path) -> np.ndarray:
    dims = [int(n) for n in stem.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(stem.with_suffix(".cfl"), "<c8", math.prod(dims)).reshape(dims, order="F").squeeze()


@pytest.mark.bart
def test_bart_and_kascade_see_the_same_image(tmp_path):
    """Our centered orthonormal transform of a file that bart wrote equals bart's own."""
    run_bart(tmp_path, "phantom", "-k", "-s", "4", "-x", "32", "ksp")
    run_bart(tmp_path, "fft", "-i", "-u", "3", "ksp", "img")
    run_bart(tmp_path, "join", "13", "ksp", "img", "both")
    image = torch.from_numpy(read_plain(tmp_path / "img").transpose(2, 0, 1).copy())
    scan = load(tmp_path / "ksp")
    assert scan.kspace.shape == (1, 4, 32, 32)
    torch.testing.assert_close(ifft(scan.kspace[0]), image, rtol=0, atol=1e-5 * float(image.abs().max()))
    both = load(tmp_path / "both.cfl")
    assert torch.equal(both.kspace[0], scan.kspace[0]) and torch.equal(both.kspace[1], image)


def test_real_files(real_data):
    full = load(real_data / "kspace" / "full.cfl")
    sampled = load(real_data / "kspace" / "und2x2.hdr")
    assert full.kspace.shape == sampled.kspace.shape == (1, 8, 230, 180)
    acquired = (sampled.kspace[0] != 0).any(dim=0)
    assert 0.2 < float(acquired.float().mean()) < 0.3
    torch.testing.assert_close(sampled.kspace[0][:, acquired], full.kspace[0][:, acquired])
    peak = divmod(int(full.kspace[0].abs().sum(dim=0).argmax()), 180)
    assert abs(peak[0] - 115) <= 2 and abs(peak[1] - 90) <= 2
