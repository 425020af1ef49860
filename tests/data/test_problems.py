from __future__ import annotations

import dataclasses

import torch

from kascade.data.header import Header
from kascade.data.scan import Scan
from tests.data.h5_files import random_kspace

HEADER = Header((16, 12, 1), (8, 8, 1), coils=4)


def scan_of(kspace: torch.Tensor, **more: object) -> Scan:
    return Scan.from_arrays(kspace, name="brain", **more)  # type: ignore[arg-type]


def test_nothing_is_wrong() -> None:
    assert scan_of(random_kspace(3, 4, 16, 12), header=HEADER).problems() == []
    assert scan_of(random_kspace(3, 4, 16, 12), header=HEADER).undersample(torch.tensor([1.0, 0] * 6)).problems() == []


def test_what_the_reader_noticed_comes_first() -> None:
    assert scan_of(random_kspace(3, 4, 16, 12), notes=["odd file"]).problems() == ["odd file"]


def test_empty_slices_give_zeros_and_are_named() -> None:
    kspace = random_kspace(3, 4, 16, 12)
    kspace[1] = 0
    scan = scan_of(kspace)
    assert (scan.kspace[1] == 0).all()
    assert scan.problems() == ["all-zero k-space in slice 1: the images will be zero"]
    kspace[2] = 0
    assert scan_of(kspace).problems() == ["all-zero k-space in slices 1, 2: the images will be zero"]
    kspace[0] = 0
    assert scan_of(kspace).problems() == ["all-zero k-space in slices 0, 1, 2: the images will be zero"]


def test_long_lists_are_cut() -> None:
    (problem,) = scan_of(torch.zeros(30, 1, 4, 4, dtype=torch.complex64)).problems()
    assert problem.startswith("all-zero k-space in slices 0, 1,") and "19, ...:" in problem


def test_nan_is_told_and_the_other_slices_are_looked_at() -> None:
    kspace = random_kspace(3, 4, 16, 12)
    kspace[0, 0, 0, 0] = float("nan")
    kspace[2] = 0
    first, second = scan_of(kspace).problems()
    assert "slice 0 holds 1 NaN or Inf samples" in first
    assert "slice 2" in second


def test_silent_coil() -> None:
    kspace = random_kspace(3, 4, 16, 12)
    kspace[:, 2] = 0
    assert scan_of(kspace).problems() == ["no signal in coil 2 of 4"]


def test_undersampled_without_a_mask() -> None:
    kspace = random_kspace(2, 4, 16, 12)
    kspace[..., ::2] = 0
    (problem,) = scan_of(kspace).problems()
    assert problem == "no mask is stored, but 50.0% of the samples are exactly 0 in every coil: undersampled"


def test_zero_padding_is_not_undersampling() -> None:
    kspace = random_kspace(2, 4, 16, 12)
    kspace[..., [0, 1, 11]] = 0
    header = dataclasses.replace(HEADER, phase_limits=(0, 4, 8))
    assert scan_of(kspace, header=header).problems() == []


def test_mask_of_another_scan() -> None:
    kspace = random_kspace(2, 4, 16, 12)
    mask = torch.ones(12)
    mask[3] = 0
    kspace[..., 5] = 0
    assert scan_of(kspace, mask=mask).problems() == [
        "16 samples outside the mask are not 0: the mask does not belong to this k-space",
        "16 samples inside the mask are 0 in every coil",
    ]


def test_header_of_another_scan() -> None:
    header = Header((32, 12, 1), (16, 14, 1), coils=3)
    assert scan_of(random_kspace(2, 4, 16, 12), header=header).problems() == [
        "the header's encoded matrix is 32 x 12, but k-space is 16 x 12",
        "k-space has 12 columns, the recon matrix is 16 x 14: cropped to 12 x 12",
        "the header names 3 coils, but k-space has 4",
    ]


def test_limits_that_leave_nothing_are_told_once_and_do_not_stop() -> None:
    kspace = random_kspace(2, 4, 16, 12)
    kspace[..., 3:] = 0
    header = Header((16, 100, 1), phase_limits=(0, 10, 20))
    problems = scan_of(kspace, header=header).problems()
    assert [problem.split(":")[0] for problem in problems] == [
        "the header's encoded matrix is 16 x 100, but k-space is 16 x 12",
        "header",
        "no mask is stored, but 75.0% of the samples are exactly 0 in every coil",
    ]


def test_oversampling_that_cannot_be_removed() -> None:
    header = Header((16, 12, 1), (16, 12, 1), (300.0, 200.0, 5.0), (170.0, 200.0, 5.0))
    (problem,) = scan_of(random_kspace(2, 4, 16, 12), header=header).problems()
    assert problem.startswith("the readout oversampling cannot be removed: ")
