from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.errors import ConfigError, ShapeError
from kascade.physics.fourier import fft, ifft
from kascade.physics.oversampling import central_rows, kept_rows, remove_readout_oversampling


@settings(max_examples=50, deadline=None)
@given(kept=st.integers(1, 12), factor=st.integers(1, 4), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_image_is_the_central_part_exactly(kept: int, factor: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    kspace = torch.randn(2, kept * factor, columns, dtype=torch.complex128, generator=generator)
    cut = ifft(remove_readout_oversampling(kspace, factor))
    image = ifft(kspace)
    start = kept * factor // 2 - kept // 2
    torch.testing.assert_close(cut, image[:, start : start + kept], rtol=0, atol=1e-12)


def test_an_object_inside_the_field_of_view_keeps_its_spectrum_up_to_the_documented_scale() -> None:
    image = torch.zeros(16, 5, dtype=torch.complex128)
    image[4:12] = torch.randn(8, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    wide = fft(image)
    torch.testing.assert_close(remove_readout_oversampling(wide), math.sqrt(2) * wide[::2], rtol=0, atol=1e-12)


def test_white_noise_keeps_its_level() -> None:
    noise = torch.randn(64, 4096, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    assert remove_readout_oversampling(noise).std().item() == pytest.approx(1, abs=0.01)


def test_columns_are_not_mixed() -> None:
    kspace = torch.zeros(8, 6, dtype=torch.complex64)
    kspace[:, 2] = 1 + 1j
    cut = remove_readout_oversampling(kspace)
    assert (cut[:, [0, 1, 3, 4, 5]] == 0).all()
    assert cut.dtype == torch.complex64


@pytest.mark.parametrize(("rows", "factor", "kept"), [(640, 2, 320), (512, 2.00002, 256), (96, 1.5, 64), (7, 1, 7)])
def test_factor_need_not_be_whole(rows: int, factor: float, kept: int) -> None:
    assert kept_rows(rows, factor) == kept
    assert remove_readout_oversampling(torch.ones(rows, 2, dtype=torch.complex64), factor).shape == (kept, 2)


def test_center_stays_center_for_odd_sizes() -> None:
    image = torch.arange(10)[:, None]
    assert central_rows(image, 5)[5 // 2] == image[10 // 2]


def test_rows_that_do_not_divide() -> None:
    with pytest.raises(ShapeError, match=r"641 rows / factor 2 is 320\.5; expected a whole number"):
        remove_readout_oversampling(torch.ones(641, 2, dtype=torch.complex64))


@pytest.mark.parametrize("factor", [0.5, 0, -1, math.inf, math.nan])
def test_factor_below_one(factor: float) -> None:
    with pytest.raises(ConfigError, match="expected at least 1"):
        kept_rows(8, factor)
