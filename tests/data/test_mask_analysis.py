"""Masks inferred from k-space, their acceleration and their calibration region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.mask_analysis import acs_columns, acs_rectangle, infer_mask, true_acceleration
from kascade.data.masks import uniform_mask
from kascade.errors import ConfigError, ShapeError


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


@given(st.lists(st.booleans(), min_size=2, max_size=30).filter(lambda m: any(m) and not all(m)))
@settings(max_examples=30, deadline=None)
def test_infers_a_column_mask(sampled: list[bool]) -> None:
    mask = torch.tensor(sampled, dtype=torch.float32)
    inferred = infer_mask(noise(2, 3, 5, len(sampled)) * mask)
    assert inferred is not None
    assert inferred.dtype == torch.float32
    assert torch.equal(inferred, mask)


def test_infers_a_two_dimensional_mask() -> None:
    mask = torch.ones(6, 8)
    mask[2, 3] = mask[5, 0] = 0
    assert torch.equal(infer_mask(noise(4, 6, 8) * mask), mask)  # type: ignore[arg-type]


def test_a_position_counts_as_missing_only_where_all_coils_and_slices_are_zero() -> None:
    kspace = noise(2, 2, 4, 6)
    kspace[0, :, :, 1] = 0
    kspace[:, 0, :, 2] = 0
    assert infer_mask(kspace) is None
    assert infer_mask(kspace[0]).tolist() == [1, 0, 1, 1, 1, 1]  # type: ignore[union-attr]


def test_slices_may_come_one_after_the_other() -> None:
    kspace = noise(3, 2, 4, 6) * torch.tensor([1.0, 0, 1, 1, 0, 1])
    whole = infer_mask(kspace)
    assert whole is not None
    assert torch.equal(whole, infer_mask(kspace[i] for i in range(3)))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (2, 3, 4, 6)])
def test_full_sampling_needs_no_mask(shape: tuple[int, ...]) -> None:
    assert infer_mask(noise(*shape)) is None


def test_infer_mask_errors() -> None:
    with pytest.raises(ConfigError, match="every k-space sample is zero"):
        infer_mask(torch.zeros(2, 4, 6))
    with pytest.raises(ShapeError, match=r"shape \(6,\)"):
        infer_mask([noise(6)])
    with pytest.raises(ShapeError, match=r"\(4, 6\) and \(4, 5\)"):
        infer_mask([noise(2, 4, 6), noise(2, 4, 5)])


def test_true_acceleration_counts_positions() -> None:
    assert true_acceleration(torch.tensor([1.0, 0, 0, 1, 0, 0])) == 3
    assert true_acceleration(torch.eye(4)) == 4
    with pytest.raises(ConfigError, match="samples nothing"):
        true_acceleration(torch.zeros(4))


@given(columns=st.integers(8, 200), accel=st.integers(1, 8), data=st.data())
@settings(max_examples=60, deadline=None)
def test_acs_columns_is_the_run_around_the_center(columns: int, accel: int, data: st.DataObject) -> None:
    mask = uniform_mask(columns, accel, data.draw(st.integers(0, columns)))
    run = acs_columns(mask)
    center = columns // 2
    assert mask[run].all()
    if not mask[center]:
        assert run == slice(center, center)
        return
    assert run.start <= center < run.stop
    assert run.start == 0 or mask[run.start - 1] == 0
    assert run.stop == columns or mask[run.stop] == 0


def test_acs_columns_of_a_fastmri_like_mask() -> None:
    assert acs_columns(uniform_mask(180, 4, 23)) == slice(79, 102)
    assert acs_columns(uniform_mask(180, 4, 24)) == slice(78, 102)
    assert acs_columns(torch.ones(7)) == slice(0, 7)


def brute_force_rectangle(mask: torch.Tensor) -> tuple[int, int]:
    """Shorter side and area of the best rectangle that holds the center."""
    rows, columns = mask.shape
    best = (0, 0)
    for top in range(rows // 2 + 1):
        for bottom in range(rows // 2 + 1, rows + 1):
            for left in range(columns // 2 + 1):
                for right in range(columns // 2 + 1, columns + 1):
                    if mask[top:bottom, left:right].all():
                        height, width = bottom - top, right - left
                        best = max(best, (min(height, width), height * width))
    return best


@given(rows=st.integers(1, 7), columns=st.integers(1, 7), holes=st.sets(st.integers(0, 48), max_size=12))
@settings(max_examples=80, deadline=None)
def test_acs_rectangle_is_the_best_of_all(rows: int, columns: int, holes: set[int]) -> None:
    mask = torch.ones(rows * columns)
    mask[[h for h in holes if h < rows * columns]] = 0
    mask = mask.reshape(rows, columns)
    vertical, horizontal = acs_rectangle(mask)
    block = mask[vertical, horizontal]
    assert block.all()
    assert (min(block.shape), block.numel()) == brute_force_rectangle(mask)


def test_acs_rectangle_prefers_the_calibration_square_over_a_long_line() -> None:
    mask = torch.zeros(64, 64)
    mask[32] = 1
    mask[28:36, 27:35] = 1
    assert acs_rectangle(mask) == (slice(28, 36), slice(27, 35))


def test_acs_of_a_mask_with_other_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(1, 2, 3\)"):
        acs_columns(torch.ones(1, 2, 3))


def test_published_two_by_two_undersampling(real_data: Path) -> None:
    """The 2 x 2 undersampled brain: inferred mask and its calibration square."""
    raw = np.fromfile(real_data / "kspace" / "und2x2.cfl", np.complex64).reshape(8, 180, 230).transpose(0, 2, 1)
    mask = infer_mask(torch.from_numpy(raw.copy()))
    assert mask is not None
    assert mask.shape == (230, 180)
    assert 3 < true_acceleration(mask) < 4
    rows, columns = acs_rectangle(mask)
    assert rows.stop - rows.start >= 20
    assert columns.stop - columns.start >= 20
