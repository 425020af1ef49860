"""ISMRMRD raw data: every readout lands where it belongs, and nothing else does."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from kascade.data import load
from kascade.data.formats import ismrmrd_raw
from kascade.errors import ConfigError, FileFormatError, MissingExtraError
from kascade.physics.fourier import fft, ifft
from tests.data.files import random_kspace
from tests.data.raw import header, readout, write_raw

pytest.importorskip("ismrmrd", reason="the ismrmrd package is not installed: pip install 'kascade[io]'")

NOISE, CALIBRATION, CALIBRATION_AND_IMAGING, REVERSE, NAVIGATOR, PHASE_CORRECTION = 19, 20, 21, 22, 23, 24
COILS, ROWS, COLUMNS = 3, 8, 6
KSPACE = random_kspace(2, COILS, ROWS, COLUMNS)
XML = header((ROWS, COLUMNS, 1), first=(0, COLUMNS - 1, COLUMNS // 2))


def lines(kspace: np.ndarray = KSPACE, columns=None, **more) -> list:
    """Readouts of slices, line by line through all slices as scanners interleave them."""
    columns = range(kspace.shape[3]) if columns is None else columns
    return [readout(kspace[s, :, :, k], k, slice=s, **more) for k in columns for s in range(len(kspace))]


def stacked(scan) -> np.ndarray:
    return torch.stack(list(scan.kspace)).numpy()


def test_slices_are_sorted(tmp_path):
    path = write_raw(tmp_path / "raw.h5", XML, lines())
    assert ismrmrd_raw.matches(path)
    scan = load(path)
    np.testing.assert_array_equal(stacked(scan), KSPACE)
    assert scan.mask is None and scan.noise is None and scan.notes == ()
    assert scan.name == "raw" and scan.header.protocol == "head" and scan.header.spacing_mm == (2.0, 2.0, 2.0)


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_order_of_any_columns(tmp_path_factory, data):
    """Where the file's mask is 1 k-space equals the original, elsewhere it is 0."""
    columns = data.draw(st.sets(st.integers(0, COLUMNS - 1), min_size=1))
    acquisitions = data.draw(st.permutations(lines(columns=columns)))
    path = tmp_path_factory.getbasetemp() / "any.h5"
    path.unlink(missing_ok=True)
    scan = load(write_raw(path, XML, acquisitions))
    mask = np.isin(np.arange(COLUMNS), list(columns)).astype(np.float32)
    np.testing.assert_array_equal(stacked(scan), KSPACE * mask)
    if len(columns) == COLUMNS:
        assert scan.mask is None
    else:
        np.testing.assert_array_equal(scan.mask.numpy(), mask)


def test_slices_are_read_lazily_and_travel_without_samples(tmp_path):
    big = random_kspace(2, 4, 64, 32)
    scan = load(write_raw(tmp_path / "raw.h5", header((64, 32, 1)), lines(big)))
    stored = pickle.dumps(scan)
    assert len(stored) < big.nbytes / 10
    np.testing.assert_array_equal(pickle.loads(stored).kspace[1].numpy(), big[1])
    if Path("/proc/self/fd").is_dir():
        before = len(os.listdir("/proc/self/fd"))
        kept = [scan.kspace[i] for i in (0, 1, 0)]
        assert len(os.listdir("/proc/self/fd")) == before and len(kept) == 3


def test_noise_is_collected_at_the_bandwidth_of_the_image(tmp_path):
    samples = random_kspace(2, COILS, 16)
    noise = [readout(part, flags=[NOISE], dwell_us=2.5) for part in samples]
    scan = load(write_raw(tmp_path / "raw.h5", XML, [*noise, *lines(dwell_us=10.0)]))
    np.testing.assert_allclose(scan.noise.numpy(), np.concatenate(samples, axis=1) * 0.5, rtol=1e-6)
    np.testing.assert_array_equal(stacked(scan), KSPACE)


def test_noise_of_other_coils_is_left_out_and_noted(tmp_path):
    noise = readout(random_kspace(COILS + 1, 16), flags=[NOISE])
    scan = load(write_raw(tmp_path / "raw.h5", XML, [noise, *lines()]))
    assert scan.noise is None and "another number of coils" in scan.notes[0]


@pytest.mark.parametrize("mode", ["embedded", "interleaved", None])
def test_calibration_lines_of_the_image_fill_its_center(tmp_path, mode):
    xml = header((ROWS, COLUMNS, 1), calibration=mode)
    acquisitions = [
        *lines(columns=[0, 4]),
        *lines(columns=[2], flags=[CALIBRATION_AND_IMAGING]),
        *lines(columns=[3], flags=[CALIBRATION]),
    ]
    scan = load(write_raw(tmp_path / "raw.h5", xml, acquisitions))
    mask = np.array([1, 0, 1, 1, 1, 0], np.float32)
    np.testing.assert_array_equal(scan.mask.numpy(), mask)
    np.testing.assert_array_equal(stacked(scan), KSPACE * mask)


@pytest.mark.parametrize(
    ("mode", "columns", "space"),
    [
        ("separate", [1, 3], 0),
        ("external", [3], 0),
        (None, [2, 3], 0),  # repeats a line of the image
        (None, [1, 2], 1),  # another encoding space
    ],
)
def test_calibration_scans_apart_from_the_image_are_left_out(tmp_path, mode, columns, space):
    xml = header((ROWS, COLUMNS, 1), calibration=mode, encodings=2)
    apart = lines(100 * KSPACE, columns=columns, flags=[CALIBRATION], space=space)
    scan = load(write_raw(tmp_path / "raw.h5", xml, [*apart, *lines(columns=[0, 2, 4])]))
    mask = np.array([1, 0, 1, 0, 1, 0], np.float32)
    np.testing.assert_array_equal(stacked(scan), KSPACE * mask)
    np.testing.assert_array_equal(scan.mask.numpy(), mask)
    assert f"{2 * len(columns)} separate calibration readouts are left out" in scan.notes


def test_calibration_lines_alone_are_an_image(tmp_path):
    scan = load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 1), calibration="separate"), lines(flags=[20])))
    np.testing.assert_array_equal(stacked(scan), KSPACE)


def test_reversed_lines_are_flipped(tmp_path):
    acquisitions = [
        *lines(columns=[0, 2, 4]),
        *[readout(KSPACE[s, :, ::-1, k], k, slice=s, flags=[REVERSE]) for s in (0, 1) for k in (1, 3, 5)],
    ]
    scan = load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 1), trajectory="epi"), acquisitions))
    np.testing.assert_array_equal(stacked(scan), KSPACE)


def test_averages_are_averaged(tmp_path):
    changes = random_kspace(*KSPACE.shape)
    acquisitions = lines(KSPACE + changes, average=0) + lines(KSPACE - changes, average=1) + lines(columns=[2])
    scan = load(write_raw(tmp_path / "raw.h5", XML, acquisitions))
    np.testing.assert_allclose(stacked(scan), KSPACE, atol=1e-6)
    assert scan.notes == ("lines acquired up to 3 times are averaged",)


def test_navigators_and_phase_correction_are_skipped(tmp_path):
    garbage = 1e3 * KSPACE
    skipped = [*lines(garbage, [0], flags=[NAVIGATOR]), *lines(garbage, [3], flags=[PHASE_CORRECTION, REVERSE])]
    reverse = [readout(KSPACE[s, :, ::-1, 5], 5, slice=s, flags=[REVERSE]) for s in (0, 1)]
    path = write_raw(tmp_path / "raw.h5", XML, [*skipped, *lines(columns=range(5)), *reverse])
    scan = load(path)
    np.testing.assert_array_equal(stacked(scan), KSPACE)
    assert scan.notes[:2] == ("2 navigator readouts are left out", "2 phase-correction readouts are left out")
    assert "EPI phase correction is not applied" in scan.notes[2]


@pytest.mark.parametrize("counter", ["contrast", "phase", "repetition", "set"])
def test_several_images_are_refused_and_listed(tmp_path, counter):
    acquisitions = [*lines(**{counter: 0}), *lines(**{counter: 2})]
    with pytest.raises(FileFormatError, match=rf"2 values of {counter} \(0, 2\).*split the file"):
        load(write_raw(tmp_path / "raw.h5", XML, acquisitions))
    one = load(write_raw(tmp_path / "one.h5", XML, lines(**{counter: 2})))
    np.testing.assert_array_equal(stacked(one), KSPACE)


def test_all_that_differs_is_listed_at_once(tmp_path):
    acquisitions = [*lines(), *lines(contrast=1, repetition=3), *lines(space=1)]
    with pytest.raises(
        FileFormatError, match=r"contrast \(0, 1\); .*repetition \(0, 3\); .*encoding_space_ref \(0, 1\)"
    ):
        load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 1), encodings=2), acquisitions))


def test_the_encoding_space_of_the_image_counts(tmp_path):
    small = random_kspace(1, COILS, 4, 3)
    xml = header((8, 6, 1), encodings=2)
    scan = load(write_raw(tmp_path / "raw.h5", xml, lines(small, space=1)))
    assert scan.header.encoded_matrix == (4, 3, 1)
    np.testing.assert_array_equal(stacked(scan), small)


def test_partial_fourier_is_placed_by_the_center_of_the_limits(tmp_path):
    """Steps 0 to 3 with center 1 are columns 2 to 5 of 6."""
    steps = [readout(KSPACE[s, :, :, k + 2], k, slice=s) for s in (0, 1) for k in range(4)]
    scan = load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 1), first=(0, 3, 1)), steps))
    acquired = np.array([0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(stacked(scan), KSPACE * acquired)
    assert scan.mask is None and scan.header.padding(COLUMNS) == (2, 6)
    fewer = [line for line in steps if line.idx.kspace_encode_step_1 != 2]
    undersampled = load(write_raw(tmp_path / "fewer.h5", header((ROWS, COLUMNS, 1), first=(0, 3, 1)), fewer))
    assert undersampled.mask.tolist() == [0, 0, 1, 1, 0, 1]


@pytest.mark.parametrize("reverse", [False, True])
def test_asymmetric_echo_is_placed_by_its_center_sample(tmp_path, reverse):
    """Samples of rows 2 to 7 of 8, so that row 4 is their sample 2."""
    samples = KSPACE[:, :, 2:]
    acquisitions = lines(samples, center=2)
    if reverse:
        acquisitions = lines(samples[:, :, ::-1], center=6 - 1 - 2, flags=[REVERSE])
    scan = load(write_raw(tmp_path / "raw.h5", XML, acquisitions))
    expected = KSPACE.copy()
    expected[:, :, :2] = 0
    np.testing.assert_array_equal(stacked(scan), expected)
    np.testing.assert_array_equal(scan.mask.numpy(), np.repeat([[0.0], [1.0]], [2, 6], axis=0) * np.ones(COLUMNS))


def test_a_center_sample_that_was_never_set_does_not_matter_for_full_readouts(tmp_path):
    scan = load(write_raw(tmp_path / "raw.h5", XML, lines(center=0)))
    np.testing.assert_array_equal(stacked(scan), KSPACE)


@pytest.mark.parametrize("reverse", [False, True])
def test_samples_to_discard_are_not_acquired(tmp_path, reverse):
    """One sample before and two after, in the order of acquisition."""
    flags, data = ([REVERSE], KSPACE[:, :, ::-1]) if reverse else ([], KSPACE)
    scan = load(write_raw(tmp_path / "raw.h5", XML, lines(data, discard=(1, 2), flags=flags)))
    kept = np.array([0, 0, 1, 1, 1, 1, 1, 0] if reverse else [0, 1, 1, 1, 1, 1, 0, 0])[:, None]
    np.testing.assert_array_equal(stacked(scan), KSPACE * kept)
    np.testing.assert_array_equal(scan.mask.numpy(), kept * np.ones(COLUMNS))


def volume(partitions: int = 4) -> np.ndarray:
    return random_kspace(partitions, COILS, ROWS, COLUMNS)


def partition_lines(kspace: np.ndarray, keep=lambda z, k: True, offset: int = 0) -> list:
    return [
        readout(kspace[z, :, :, k], k, partition=z - offset)
        for z in range(len(kspace))
        for k in range(COLUMNS)
        if keep(z, k)
    ]


def test_a_volume_becomes_slices_by_a_transform_along_partitions(tmp_path):
    kspace = volume(5)
    xml = header((ROWS, COLUMNS, 5), second=(0, 4, 2))
    scan = load(write_raw(tmp_path / "raw.h5", xml, partition_lines(kspace, lambda z, k: k != 1)))
    columns = np.array([1, 0, 1, 1, 1, 1], np.float32)
    np.testing.assert_allclose(fft(torch.from_numpy(stacked(scan)), axes=(0,)).numpy(), kspace * columns, atol=1e-6)
    assert scan.mask.tolist() == columns.tolist() and "3-D" in scan.notes[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan)).kspace[3].numpy(), scan.kspace[3].numpy())


def test_partial_fourier_along_partitions_is_filled_with_zeros(tmp_path):
    """Partitions 1 to 3 of 4, and fewer of them in the corners: the center step of the limits is partition 2."""
    kspace = volume(4)

    def keep(z, k):
        return z >= 1 and (k not in (0, 5) or z == 2)

    xml = header((ROWS, COLUMNS, 4), second=(0, 2, 1))
    scan = load(write_raw(tmp_path / "raw.h5", xml, partition_lines(kspace, keep, offset=1)))
    kept = np.array([[keep(z, k) for k in range(COLUMNS)] for z in range(4)])[:, None, None]
    np.testing.assert_allclose(stacked(scan), ifft(torch.from_numpy(kspace * kept), axes=(0,)).numpy(), atol=1e-6)
    assert scan.mask is None


@pytest.mark.parametrize("keep", [lambda z, k: z != 1, lambda z, k: (z + k) % 2 == 0, lambda z, k: k != 1 or z < 2])
def test_partitions_missing_in_between_or_in_the_middle_are_refused(tmp_path, keep):
    path = write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 4)), partition_lines(volume(4), keep))
    with pytest.raises(FileFormatError, match="undersampled along the second phase encoding"):
        load(path)


def test_a_partition_outside_the_matrix_is_refused(tmp_path):
    xml = header((ROWS, COLUMNS, 4), second=(0, 3, 1))
    with pytest.raises(FileFormatError, match="lies at partition 4, outside the encoded matrix of 4; 6 of 24"):
        load(write_raw(tmp_path / "raw.h5", xml, partition_lines(volume(4))))


def test_a_header_that_counts_slices_as_partitions_is_still_two_dimensional(tmp_path):
    scan = load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 2)), lines()))
    np.testing.assert_array_equal(stacked(scan), KSPACE)


def test_several_slabs_are_refused(tmp_path):
    acquisitions = [readout(KSPACE[0, :, :, k], k, z, slice=s) for s in (0, 1) for z in (0, 1) for k in range(COLUMNS)]
    with pytest.raises(FileFormatError, match="several 3-D slabs"):
        load(write_raw(tmp_path / "raw.h5", header((ROWS, COLUMNS, 2)), acquisitions))


def test_an_incomplete_slice_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"slice 1 was sampled otherwise than slice 0 \(5 and 6 columns\)"):
        load(write_raw(tmp_path / "raw.h5", XML, lines()[:-1]))


@pytest.mark.parametrize(
    ("xml", "acquisitions", "message"),
    [
        (XML, [], "holds no acquisitions"),
        (None, lines(), "no ISMRMRD header"),
        ("<not closed", lines(), "not an ISMRMRD header"),
        (b"\xff\xfe", lines(), "not an ISMRMRD header"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', lines(), "not an ISMRMRD header"),
        ("<ismrmrdHeader/>", lines(), "readouts of encoding space 0, but the header has 0"),
        (header((0, 0, 1)), lines(), "encoded matrix is None"),
        (header((60000, 60000, 1)), lines(), r"encoded matrix is \(60000, 60000, 1\)"),
        (header((ROWS, COLUMNS, 1), trajectory="radial"), lines(), "trajectory is radial"),
        (XML, lines(space=3), "encoding space 3, but the header has 1"),
        (XML, lines(flags=[NOISE]), r"none of its 12 readouts is of an image \(12 noise\)"),
        (XML, lines(flags=[NAVIGATOR]), "0 noise, 12 navigator"),
        (header((ROWS, COLUMNS - 2, 1)), lines(), "lies at column 4, outside the encoded matrix of 4; 4 of 12"),
        (header((ROWS - 1, COLUMNS, 1)), lines(), "lies at rows -1 to 6, outside the encoded matrix of 7"),
        (XML, lines(discard=(4, 4)), "discards all its samples"),
        (XML, [*lines(), readout(KSPACE[0, :2, :, 0])], "readouts of 2, 3 coils"),
    ],
)
def test_files_that_make_no_sense_are_refused_in_one_line(tmp_path, xml, acquisitions, message):
    path = write_raw(tmp_path / "raw.h5", xml, acquisitions)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_images_and_foreign_tables_are_refused(tmp_path):
    with h5py.File(tmp_path / "image.h5", "w") as file:
        file["dataset/xml"] = [XML]
        file["dataset/data"] = np.zeros((1, 2, 2))
    with pytest.raises(FileFormatError, match="another layout than ISMRMRD acquisitions"):
        load(tmp_path / "image.h5")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["dataset/xml"] = [XML]
        file["dataset/data"] = np.zeros(3, [("head", [("flags", "u8")]), ("data", "f4")])
    with pytest.raises(FileFormatError, match="another layout than ISMRMRD acquisitions"):
        load(tmp_path / "table.h5")


def test_several_groups_are_not_guessed(tmp_path):
    for group in ("one", "two"):
        write_raw(tmp_path / "raw.h5", XML, lines(), group)
    with pytest.raises(FileFormatError, match=r"2 ISMRMRD groups \(one, two\)"):
        load(tmp_path / "raw.h5")
    np.testing.assert_array_equal(stacked(load(write_raw(tmp_path / "one.h5", XML, lines(), "one"))), KSPACE)


def test_readouts_of_the_wrong_length_are_refused_when_they_are_read(tmp_path):
    path = write_raw(tmp_path / "raw.h5", XML, lines())
    with h5py.File(path, "r+") as file:
        record = file["dataset/data"][3]
        record["data"] = record["data"][:-4]
        file["dataset/data"][3] = record
    scan = load(path)
    np.testing.assert_array_equal(scan.kspace[0].numpy(), KSPACE[0])
    with pytest.raises(FileFormatError, match="readout 3 holds 44 numbers; expected 3 coils x 8 complex samples"):
        scan.kspace[1]


def test_nan_is_refused_naming_the_slice(tmp_path):
    bad = KSPACE.copy()
    bad[1, 0, 0, 0] = np.nan
    with pytest.raises(FileFormatError, match="kspace: slice 1 holds 1 NaN"):
        stacked(load(write_raw(tmp_path / "raw.h5", XML, lines(bad))))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, share):
    path = write_raw(tmp_path / "raw.h5", XML, lines())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match="truncated or damaged HDF5"):
        stacked(load(path))


def test_axes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="names its axes itself"):
        load(write_raw(tmp_path / "raw.h5", XML, lines()), "slice,coil,rows,columns")


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    path = write_raw(tmp_path / "raw.h5", XML, lines())
    monkeypatch.setitem(sys.modules, "ismrmrd", None)
    assert ismrmrd_raw.matches(path)
    with pytest.raises(MissingExtraError, match=r"pip install 'kascade\[io\]'"):
        load(path)


def test_other_hdf5_files_do_not_match(tmp_path):
    with h5py.File(tmp_path / "fastmri.h5", "w") as file:
        file["kspace"] = KSPACE
        file["extra/xml"] = [XML]
    assert not ismrmrd_raw.matches(tmp_path / "fastmri.h5")
    (tmp_path / "text.h5").write_text("text")
    assert not ismrmrd_raw.matches(tmp_path / "text.h5")
    assert not ismrmrd_raw.matches(tmp_path / "absent.h5")
