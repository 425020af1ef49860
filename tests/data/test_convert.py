"""`convert`: what comes out equals what went in, and nothing else is left in the folder."""

from __future__ import annotations

import importlib

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from kascade.data import load
from kascade.data.convert import concentration, convert
from kascade.data.scan import Scan
from kascade.errors import ConfigError, FileFormatError, OutputError
from kascade.physics.fourier import fft
from tests.data.files import random_kspace, write_cfl, write_mat73
from tests.data.raw import header, readout, write_raw


def head_like(slices: int = 2, coils: int = 3, rows: int = 24, columns: int = 20) -> np.ndarray:
    """Centered k-space of a smooth object, (slices, coil, rows, columns)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    image = torch.exp(-4 * (x**2 + y**2)) * (1 + 0.3 * torch.cos(9 * x))
    coil = torch.stack([torch.exp(1j * c + 0.4 * c * x) for c in range(coils)])
    weight = 1 + torch.arange(slices).float()[:, None, None, None]
    return fft((weight * image * coil).to(torch.complex64)).numpy()


KSPACE = head_like()
MASK = np.array([1, 0] * 10, np.float32)


def npy(path, kspace):
    np.save(path.with_suffix(".npy"), kspace)
    return path.with_suffix(".npy"), None


def npz(path, kspace):
    np.savez(path.with_suffix(".npz"), kspace=kspace, mask=MASK)
    return path.with_suffix(".npz"), None


def cfl(path, kspace):
    dims = kspace.transpose(2, 3, 1, 0).reshape(*kspace.shape[2:], 1, kspace.shape[1], *(1,) * 9, len(kspace))
    return write_cfl(path, dims), None


def mat5(path, kspace):
    scipy.io.savemat(path.with_suffix(".mat"), {"data": kspace.transpose(2, 3, 1, 0)})
    return path.with_suffix(".mat"), "rows,columns,coil,slice"


def mat73(path, kspace):
    return write_mat73(path.with_suffix(".mat"), {"data": kspace.transpose(2, 3, 1, 0)}), "rows,columns,coil,slice"


def fastmri_like(path, kspace):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["kspace"] = kspace
    return path.with_suffix(".h5"), None


def raw(path, kspace):
    pytest.importorskip("ismrmrd", reason="the ismrmrd package is not installed: pip install 'kascade[io]'")
    slices, _, rows, columns = kspace.shape
    lines = [readout(kspace[s, :, :, k], k, slice=s) for s in range(slices) for k in range(columns)]
    return write_raw(path.with_suffix(".raw"), header((rows, columns, 1)), lines), None


@pytest.mark.parametrize("write", [npy, npz, cfl, mat5, mat73, fastmri_like, raw])
def test_every_format_becomes_the_same_file(tmp_path, write):
    out = tmp_path / "out"
    out.mkdir()
    source, axes = write(tmp_path / "brain", KSPACE)
    scan = convert(source, out / "converted.h5", axes)
    assert [p.name for p in out.iterdir()] == ["converted.h5"]
    assert scan.path == out / "converted.h5" and scan.notes == ()
    with h5py.File(out / "converted.h5") as file:
        assert file["kspace"].dtype == np.complex64
        np.testing.assert_array_equal(file["kspace"][()], KSPACE)
        assert ("mask" in file) == (write is npz)
    if write is npz:
        assert scan.mask.tolist() == MASK.tolist()


def test_a_folder_gets_the_name_of_the_source(tmp_path):
    (tmp_path / "out").mkdir()
    source, axes = cfl(tmp_path / "brain.v1", KSPACE)
    scan = convert(source, tmp_path / "out", axes)
    assert scan.name == "brain.v1" and [p.name for p in (tmp_path / "out").iterdir()] == ["brain.v1.h5"]


def test_only_h5_is_written(tmp_path):
    source, _ = npy(tmp_path / "brain", KSPACE)
    for name in ("out.npy", "out", "out.hdf5"):
        with pytest.raises(ConfigError, match=r"\.h5"):
            convert(source, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["brain.npy"]


def test_an_existing_file_stays_without_force(tmp_path):
    source, _ = npy(tmp_path / "brain", KSPACE)
    (tmp_path / "out.h5").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        convert(source, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "precious"
    assert convert(source, tmp_path / "out.h5", force=True).kspace.shape == KSPACE.shape


def test_a_file_can_replace_itself(tmp_path):
    source, _ = fastmri_like(tmp_path / "brain", KSPACE)
    scan = convert(source, source, force=True)
    np.testing.assert_array_equal(scan.kspace[1].numpy(), KSPACE[1])


def test_a_bad_slice_leaves_nothing_behind(tmp_path):
    bad = KSPACE.copy()
    bad[1, 0, 0, 0] = np.nan
    source, _ = npy(tmp_path / "brain", bad)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileFormatError, match="slice 1 holds 1 NaN"):
        convert(source, tmp_path / "out" / "brain.h5")
    assert list((tmp_path / "out").iterdir()) == []


def test_axes_are_not_guessed(tmp_path):
    source, _ = npy(tmp_path / "brain", KSPACE[0])
    with pytest.raises(FileFormatError, match="--axes coil,rows,columns or --axes slice,rows,columns"):
        convert(source, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert convert(source, tmp_path / "out.h5", "coil,rows,columns").kspace.shape == (1, *KSPACE.shape[1:])


def test_a_single_coil_is_stored_as_fastmri_does(tmp_path):
    source, _ = npy(tmp_path / "brain", KSPACE[0, 0])
    assert convert(source, tmp_path / "out.h5").kspace.shape == (1, 1, 24, 20)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["kspace"].shape == (1, 24, 20)


@pytest.mark.parametrize(
    ("kspace", "axes", "what"),
    [
        (np.fft.ifftshift(KSPACE, axes=(-2, -1)), None, ["rows", "columns"]),
        (np.fft.ifftshift(KSPACE, axes=-1), None, ["columns"]),
        (head_like(coils=8), "slice,rows,coil,columns", ["rows"]),
        (random_kspace(1, 3, 24, 20), None, ["rows", "columns"]),
    ],
)
def test_kspace_that_does_not_look_centered_is_noted(tmp_path, kspace, axes, what):
    source, _ = npy(tmp_path / "brain", kspace)
    notes = convert(source, tmp_path / "out.h5", axes).notes
    assert [f"central half of the {name}" in note for name, note in zip(what, notes, strict=True)] == [True] * len(what)


def test_concentration():
    kspace = np.zeros((1, 2, 8, 8), np.complex64)
    assert concentration(Scan.from_arrays(kspace)) == (0.0, 0.0)
    kspace[0, :, 4, 4] = 3j
    kspace[0, :, 0, 4] = 1
    assert concentration(Scan.from_arrays(kspace)) == pytest.approx((0.9, 1.0))


def test_the_notes_of_the_reader_are_kept(tmp_path):
    source = write_cfl(tmp_path / "brain", KSPACE.transpose(2, 3, 0, 1))
    notes = convert(source, tmp_path / "out.h5").notes
    assert len(notes) == 1 and "bart fft" in notes[0]


def test_a_file_that_reads_back_otherwise_is_reported(tmp_path, monkeypatch):
    source, _ = npy(tmp_path / "brain", KSPACE)
    module = importlib.import_module("kascade.data.convert")

    def write_half(scan, path, force):
        write_scan(scan.slices(0, 1), path, force)

    write_scan = module.write_scan
    monkeypatch.setattr(module, "write_scan", write_half)
    with pytest.raises(FileFormatError, match="reads back as"):
        convert(source, tmp_path / "out.h5")


def test_real_files(real_data, tmp_path):
    for name, axes, shape in [
        ("full.cfl", None, (1, 8, 230, 180)),
        ("und2x2.hdr", None, (1, 8, 230, 180)),
        ("gre_32ch.npy", None, (2, 32, 100, 100)),
        ("brain_alias_8ch.npy", "coil,rows,columns", (1, 8, 320, 168)),
    ]:
        source = real_data / "kspace" / name
        scan = convert(source, tmp_path, axes)
        original = load(source, axes)
        assert scan.kspace.shape == shape and scan.notes == ()
        assert all(torch.equal(a, b) for a, b in zip(scan.kspace, original.kspace, strict=True))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".h5"] * 4


@pytest.mark.parity
def test_the_fastmri_package_reads_the_folder(tmp_path, fastmri_package):
    from fastmri.data import SliceDataset

    for kspace, name in ((KSPACE, "a"), (KSPACE[:1], "b")):
        source, axes = npz(tmp_path / name, kspace)
        (tmp_path / "out").mkdir(exist_ok=True)
        convert(source, tmp_path / "out" / f"{name}.h5", axes)
    dataset = SliceDataset(tmp_path / "out", "multicoil", use_dataset_cache=False)
    assert len(dataset) == 3
    kspace, mask, *_ = dataset[1]
    np.testing.assert_array_equal(kspace, KSPACE[1])
    np.testing.assert_array_equal(np.squeeze(mask), MASK)
