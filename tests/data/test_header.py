from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.header import Header, crop_to_recon
from kascade.errors import FileFormatError


def test_padding_as_fastmri_does_it() -> None:
    header = Header(encoded_matrix=(640, 372, 1), phase_limits=(0, 166, 331))
    assert header.padding(372) == (372 // 2 - 166, 372 // 2 - 166 + 332)


def test_no_limits_no_padding() -> None:
    assert Header().padding(372) == (0, 372)


@settings(max_examples=50, deadline=None)
@given(columns=st.integers(1, 400), center=st.integers(0, 400), extra=st.integers(0, 400))
def test_padding_stays_within_k_space(columns: int, center: int, extra: int) -> None:
    header = Header(encoded_matrix=(8, columns, 1), phase_limits=(0, center, center + extra))
    left, right = header.padding(columns)
    assert 0 <= left < right <= columns
    assert left <= columns // 2 < right  # the center of k-space is acquired


def test_limits_that_leave_nothing() -> None:
    header = Header(encoded_matrix=(8, 100, 1), phase_limits=(0, 10, 20))
    with pytest.raises(
        FileFormatError, match=r"\(0, 10, 20\) leave none of 30 columns at encoded matrix \(8, 100, 1\)"
    ):
        header.padding(30)


def test_spacing_is_that_of_the_encoded_grid() -> None:
    header = Header((640, 368, 1), (320, 320, 1), (280.0, 161.0, 4.5), (140.0, 140.0, 4.5))
    assert header.spacing_mm == pytest.approx((0.4375, 0.4375, 4.5))
    assert Header(recon_matrix=(10, 20, 1), recon_fov_mm=(20.0, 20.0, 5.0)).spacing_mm == (2, 1, 5)
    assert Header(encoded_matrix=(10, 20, 1)).spacing_mm is None


@pytest.mark.parametrize(
    ("header", "factor"),
    [
        (Header((640, 368, 1), (320, 320, 1), (280.0, 161.0, 4.5), (140.0, 140.0, 4.5)), 2),
        (Header((640, 368, 1), (320, 320, 1)), 2),
        (Header((512, 256, 1), (512, 512, 1), (500.0, 250.0, 5.0), (250.0, 250.0, 5.0)), 2),  # interpolated
        (Header((512, 256, 1), (256, 256, 1), (250.0, 250.0, 5.0), (250.0, 250.0, 5.0)), 1),  # smoothed
        (Header((256, 256, 1), (512, 512, 1)), 1),
        (Header(), 1),
    ],
)
def test_readout_oversampling(header: Header, factor: float) -> None:
    assert header.readout_oversampling == factor


def test_header_after_the_readout_was_cut() -> None:
    header = Header((640, 368, 1), (320, 320, 1), (280.0, 161.0, 4.5), (140.0, 140.0, 4.5)).without_oversampling(320)
    assert header.encoded_matrix == (320, 368, 1)
    assert header.encoded_fov_mm == (140.0, 161.0, 4.5)
    assert header.readout_oversampling == 1


@pytest.mark.parametrize(
    ("size", "recon", "expected"),
    [
        ((640, 368), (320, 320), (320, 320)),
        ((640, 203), (320, 320), (203, 203)),  # fastMRI's narrow FLAIR: columns x columns
        ((320, 203), (320, 256), (203, 203)),
        ((100, 203), (320, 320), (100, 203)),
        ((9, 12), (10, 10), (9, 10)),
        ((7, 9), (4, 3), (4, 3)),
    ],
)
def test_crop(size: tuple[int, int], recon: tuple[int, int], expected: tuple[int, int]) -> None:
    image = torch.randn(2, *size)
    cropped = crop_to_recon(image, Header(recon_matrix=(*recon, 1)))
    assert cropped.shape == (2, *expected)
    top, left = (size[0] - expected[0]) // 2, (size[1] - expected[1]) // 2
    assert torch.equal(cropped, image[:, top : top + expected[0], left : left + expected[1]])


def test_nothing_to_crop_to() -> None:
    image = torch.randn(5, 4)
    assert crop_to_recon(image, None) is image
    assert crop_to_recon(image, Header()) is image


@pytest.mark.parity
@settings(max_examples=50, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), recon=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_crop_is_that_of_fastmri(fastmri_package: object, size: tuple[int, int], recon: tuple[int, int]) -> None:
    from fastmri.data.transforms import center_crop

    image = torch.arange(float(size[0] * size[1])).reshape(size)
    shape = recon if size[1] >= recon[1] else (size[1], size[1])  # as its VarNetModule has it
    if shape[0] <= size[0]:  # fastMRI refuses otherwise
        assert torch.equal(crop_to_recon(image, Header(recon_matrix=(*recon, 1))), center_crop(image, shape))
