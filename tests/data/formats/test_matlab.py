"""MATLAB files, v5 and v7.3: the axes that MATLAB shows, complex pairs, damage named."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from kascade.data import load
from kascade.data.formats import matlab
from kascade.errors import ConfigError, FileFormatError
from tests.data.files import random_kspace, write_mat73

KSPACE = random_kspace(6, 5, 3, 2)  # rows, columns, coil, slice: as MATLAB's size shows it
AXES = "rows,columns,coil,slice"


def save(path, version, **arrays):
    if version == "7.3":
        return write_mat73(path, arrays)
    scipy.io.savemat(path, arrays, do_compression=version == "5 packed")
    return path


versions = pytest.mark.parametrize("version", ["5", "5 packed", "7.3"])


@versions
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_both_versions_have_the_axes_that_matlab_shows(tmp_path, version, dtype):
    path = save(tmp_path / "scan.mat", version, kspace=KSPACE.astype(dtype))
    assert matlab.matches(path)
    scan = load(path, AXES)
    assert scan.kspace.shape == (2, 3, 6, 5) and scan.name == "scan"
    for index in range(2):
        expected = np.ascontiguousarray(KSPACE[..., index].transpose(2, 0, 1))
        assert torch.equal(scan.kspace[index], torch.from_numpy(expected))
    again = pickle.loads(pickle.dumps(scan))
    assert torch.equal(again.kspace[1], scan.kspace[1])


@versions
def test_mask_and_maps_are_taken_along(tmp_path, version):
    mask, maps = np.array([[1.0, 0, 1, 1, 0]]), random_kspace(6, 5, 3)
    path = save(tmp_path / "scan.mat", version, other=np.ones(3), raw=KSPACE, mask=mask, maps=maps)
    scan = load(path, AXES)
    assert scan.mask.tolist() == [1, 0, 1, 1, 0]
    assert torch.equal(scan.maps[1], torch.from_numpy(maps.transpose(2, 0, 1).copy()))


@versions
def test_axes_are_not_guessed(tmp_path, version):
    with pytest.raises(FileFormatError, match=r"--axes rows,columns,coil or.*--axes coil,rows,columns"):
        load(save(tmp_path / "three.mat", version, kspace=KSPACE[..., 0]))
    with pytest.raises(FileFormatError, match="--axes rows,columns,coil,slice or --axes slice,coil,rows,columns"):
        load(save(tmp_path / "four.mat", version, kspace=KSPACE))
    python_order = KSPACE.transpose(3, 2, 0, 1)
    scan = load(save(tmp_path / "python.mat", version, kspace=python_order))
    assert torch.equal(scan.kspace[1], torch.from_numpy(python_order[1].copy()))
    assert load(save(tmp_path / "two.mat", version, kspace=KSPACE[..., 0, 0])).kspace.shape == (1, 1, 6, 5)
    with pytest.raises(ConfigError, match="names 3 axes"):
        load(tmp_path / "four.mat", "rows,columns,coil")


def test_a_v73_file_without_the_text_header_is_known_by_its_attributes(tmp_path):
    write_mat73(tmp_path / "scan.h5", {"kspace": KSPACE}, header=False)
    assert load(tmp_path / "scan.h5", AXES).kspace.shape == (2, 3, 6, 5)
    with h5py.File(tmp_path / "fastmri.h5", "w") as file:
        file["kspace"] = KSPACE
    assert not matlab.matches(tmp_path / "fastmri.h5")


def test_v73_reads_one_slice_at_a_time_and_pickles_small(tmp_path):
    big = random_kspace(64, 64, 4, 3)
    scan = load(write_mat73(tmp_path / "scan.mat", {"kspace": big}, compression="gzip"), AXES)
    assert len(pickle.dumps(scan)) < big.nbytes / 10
    assert torch.equal(scan.kspace[2], torch.from_numpy(big[..., 2].transpose(2, 0, 1).copy()))


def test_v5_pickles_small(tmp_path):
    big = random_kspace(64, 64, 4, 2)
    scan = load(save(tmp_path / "scan.mat", "5", kspace=big), AXES)
    stored = pickle.dumps(scan)
    assert len(stored) < big.nbytes / 10
    assert torch.equal(pickle.loads(stored).kspace[1], scan.kspace[1])


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("array", [np.ones((6, 5, 3, 2)), np.ones((6, 5, 3, 2), np.int16)])
def test_samples_that_are_not_complex_are_refused(tmp_path, version, array):
    with pytest.raises(FileFormatError, match=r"expected complex|no complex array"):
        load(save(tmp_path / "scan.mat", version, kspace=array), AXES)


def test_a_struct_only_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "v5.mat", {"data": {"kspace": KSPACE}, "cells": np.array([KSPACE, 1], dtype=object)})
    write_mat73(tmp_path / "v73.mat", {})
    with h5py.File(tmp_path / "v73.mat", "a") as file:
        file.create_group("data").attrs["MATLAB_class"] = np.bytes_("struct")
        file["data/kspace"] = KSPACE
    for name in ("v5.mat", "v73.mat"):
        with pytest.raises(FileFormatError, match="no complex array and none called kspace; it holds no numeric array"):
            load(tmp_path / name)


def test_several_arrays_are_listed(tmp_path):
    for version in ("5", "7.3"):
        with pytest.raises(FileFormatError, match=r"2 complex arrays.*one \(6, 5, 3, 2\) complex64, two"):
            load(save(tmp_path / "scan.mat", version, one=KSPACE, two=KSPACE), AXES)


def test_other_compounds_are_refused(tmp_path):
    write_mat73(tmp_path / "scan.mat", {})
    with h5py.File(tmp_path / "scan.mat", "a") as file:
        file["kspace"] = np.zeros((4, 4), [("x", "f4"), ("y", "f4")])
    with pytest.raises(FileFormatError, match="expected complex64 or complex128"):
        load(tmp_path / "scan.mat")


@versions
def test_nan_is_refused_naming_the_slice(tmp_path, version):
    array = KSPACE.copy()
    array[0, 0, 0, 1] = np.nan
    scan = load(save(tmp_path / "scan.mat", version, kspace=array), AXES)
    with pytest.raises(FileFormatError, match=r"scan\.mat: kspace: slice 1 holds 1 NaN"):
        scan.kspace[1]


@versions
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused_in_one_line(tmp_path, version, share):
    path = save(tmp_path / "scan.mat", version, kspace=random_kspace(16, 16, 4, 2))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(130, int(share * len(whole)))])
    with pytest.raises(FileFormatError, match=r"not a readable MATLAB file|truncated or damaged|not HDF5") as caught:
        load(path, AXES).kspace[0]
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_empty_and_foreign_files(tmp_path):
    (tmp_path / "empty.mat").touch()
    with pytest.raises(FileFormatError, match="empty file"):
        load(tmp_path / "empty.mat")
    (tmp_path / "text.mat").write_text("MATLAB code, not a MAT-file" * 20)
    with pytest.raises(FileFormatError, match="no known format"):
        load(tmp_path / "text.mat")
    assert not matlab.matches(tmp_path / "absent.mat")


def test_a_link_out_of_the_file_is_not_followed(tmp_path):
    write_mat73(tmp_path / "secret.mat", {"kspace": KSPACE})
    write_mat73(tmp_path / "scan.mat", {"other": np.ones(3)})
    with h5py.File(tmp_path / "scan.mat", "a") as file:
        file["kspace"] = h5py.ExternalLink("secret.mat", "kspace")
    with pytest.raises(FileFormatError, match="no complex array"):
        load(tmp_path / "scan.mat", AXES)
