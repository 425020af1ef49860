from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.geometry import (
    ORIENTATIONS,
    check_matrix,
    check_orientation,
    field_of_view,
    pixel_positions,
)
from kascade.errors import ConfigError, ShapeError


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.floats(10, 500), st.floats(-90, 90), st.sampled_from([*ORIENTATIONS]))
def test_center_pixel_lies_on_the_slice_axis_and_pixels_are_evenly_spaced(
    rows: int, columns: int, fov: float, z: float, orientation: str
) -> None:
    positions = pixel_positions((rows, columns), (fov, 2 * fov), z, orientation)
    through = torch.tensor(ORIENTATIONS[orientation][2], dtype=torch.float64)
    torch.testing.assert_close(positions[rows // 2, columns // 2], z * through)
    torch.testing.assert_close(positions @ through, torch.full((rows, columns), z, dtype=torch.float64))
    if rows > 1:
        steps = (positions[1:] - positions[:-1]).norm(dim=-1)
        torch.testing.assert_close(steps, torch.full_like(steps, fov / rows))
    if columns > 1:
        steps = (positions[:, 1:] - positions[:, :-1]).norm(dim=-1)
        torch.testing.assert_close(steps, torch.full_like(steps, 2 * fov / columns))


def test_first_pixel_shows_the_patients_right_and_front_or_top() -> None:
    corner = {name: pixel_positions((8, 8), 80.0, 5.0, name)[0, 0].tolist() for name in ORIENTATIONS}
    assert corner == {"axial": [-40, 40, 5], "coronal": [-40, 5, 40], "sagittal": [-5, 40, 40]}


def test_one_number_is_a_square_field_of_view() -> None:
    assert field_of_view(200) == field_of_view((200, 200.0)) == (200.0, 200.0)


@pytest.mark.parametrize("fov", [0.0, -3.0, float("nan"), float("inf"), (1.0,), (1.0, 2.0, 3.0)])
def test_meaningless_fields_of_view_are_refused(fov: object) -> None:
    with pytest.raises(ConfigError, match="fov_mm"):
        field_of_view(fov)  # type: ignore[arg-type]


def test_other_arguments_are_checked() -> None:
    assert check_matrix([3, 4]) == (3, 4)
    with pytest.raises(ShapeError, match="rows, columns"):
        check_matrix((3, 4, 5))
    with pytest.raises(ConfigError, match="axial, coronal, sagittal"):
        check_orientation("oblique")
    with pytest.raises(ConfigError, match="slice_position_mm is inf"):
        pixel_positions((4, 4), 10.0, float("inf"))
