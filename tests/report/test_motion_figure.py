"""Figure of motion."""

from __future__ import annotations

import numpy as np
import pytest

from kascade.errors import ConfigError, ShapeError
from kascade.report.motion_figure import motion_figure


@pytest.mark.parametrize("count", [3, 6])
def test_every_parameter_has_its_curve(count: int) -> None:
    path = np.arange(5 * count, dtype=float).reshape(5, count)
    figure = motion_figure({"slice 0": path, "slice 1": path + 0.5}, reference=path, title="moved")
    shifts, angles = figure.axes
    assert shifts.get_ylabel() == "shift [px]" and angles.get_ylabel() == "angle [°]"
    drawn = [line.get_ydata().tolist() for axes in (shifts, angles) for line in axes.lines if len(line.get_ydata())]
    for parameter in range(count):
        assert drawn.count(path[:, parameter].tolist()) == 2  # slice 0 and the reference
        assert (path[:, parameter] + 0.5).tolist() in drawn
    assert "stored" in [text.get_text() for text in shifts.get_legend().get_texts()]


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="no motion"):
        motion_figure({})
    with pytest.raises(ShapeError, match="expected equal"):
        motion_figure({"a": np.zeros((4, 3))}, np.zeros((5, 3)))
    with pytest.raises(ShapeError, match="expected equal"):
        motion_figure({"a": np.zeros((4, 2))})
