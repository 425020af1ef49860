"""Grids of images."""

from __future__ import annotations

import numpy as np
import pytest

from kascade.errors import ConfigError, ShapeError
from kascade.report.grid import Panel, image_grid

IMAGE = np.random.default_rng(0).random((30, 20))


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_every_panel_is_drawn_in_its_window():
    upper = [Panel(IMAGE, "one", "first", high=0.5), Panel(2j * IMAGE, "two")]
    lower = [None, Panel(IMAGE, colormap="inferno")]
    figure = image_grid([upper, lower], ["upper", "lower"], "all")
    shown = [axes.images[0] for axes in figure.axes]
    assert [image.get_clim()[1] for image in shown] == pytest.approx(
        [0.5, 2 * np.percentile(IMAGE, 99.5), np.percentile(IMAGE, 99.5)]
    )
    np.testing.assert_allclose(shown[1].get_array(), 2 * IMAGE)
    assert [image.get_cmap().name for image in shown] == ["gray", "gray", "inferno"]
    assert {"one", "first", "two", "upper", "lower", "all"} <= set(texts(figure))


def test_panels_do_not_overlap_and_stand_under_each_other():
    figure = image_grid([[Panel(IMAGE, "a"), Panel(IMAGE)], [Panel(IMAGE), Panel(IMAGE)]], title="t")
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].x0 == boxes[2].x0 and boxes[0].x1 < boxes[1].x0
    assert boxes[0].y0 > boxes[2].y1
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1


def test_images_keep_their_proportions():
    figure = image_grid([[Panel(IMAGE)] * 9])
    width, height = figure.get_size_inches()
    box = figure.axes[0].get_position()
    assert box.height * height / (box.width * width) == pytest.approx(30 / 20)
    assert width <= 15.01


def test_a_black_image_has_a_window():
    assert image_grid([[Panel(np.zeros((4, 4)))]]).axes[0].images[0].get_clim() == (0, 1)


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="0 images"):
        image_grid([[None]])
    with pytest.raises(ConfigError, match="1 images in 1 rows with 2 names"):
        image_grid([[Panel(IMAGE)]], ["a", "b"])
    with pytest.raises(ShapeError, match="expected equal"):
        image_grid([[Panel(IMAGE), Panel(IMAGE.T)]])
