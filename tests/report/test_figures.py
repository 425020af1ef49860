"""Figures: what they show is what was given, equally windowed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kascade.errors import ConfigError, ShapeError
from kascade.report.canvas import BRIGHT
from kascade.report.figures import comparison, curves, map_figure, montage
from kascade.report.metrics import psnr, ssim

REFERENCE = np.random.default_rng(0).uniform(0, 1, (20, 16))
IMAGES = {"SENSE": REFERENCE + 0.05, "Wavelet": REFERENCE * 1.01}


def pictures(figure: Figure) -> list[Any]:
    return [axes.images[0] for axes in figure.axes if axes.images]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def drawn(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]


@pytest.mark.parametrize("slices", [1, 2, 7, 40])
def test_montage_shows_every_slice_in_order_with_one_window(slices: int) -> None:
    volume = np.random.default_rng(slices).uniform(0, 1, (slices, 12, 10)) * np.arange(1, slices + 1)[:, None, None]
    figure = montage(volume, title="brain.h5")
    shown = pictures(figure)
    assert len(shown) == slices
    assert all(np.array_equal(image.get_array(), piece) for image, piece in zip(shown, volume, strict=True))
    assert {image.get_clim() for image in shown} == {(0.0, np.percentile(volume, 99.5))}
    assert texts(figure) == ["brain.h5"]
    numbers = [axes.texts[0].get_text() for axes in figure.axes if axes.texts]
    assert numbers == ([str(n) for n in range(slices)] if slices > 1 else [])


def test_montage_keeps_pixels_square_and_images_apart() -> None:
    figure = montage(np.ones((5, 30, 12)))
    drawn(figure)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert all(box.height / box.width == pytest.approx(30 / 12) for box in boxes)
    for a in boxes:
        assert sum(a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1 for b in boxes) == 1  # itself


def test_montage_takes_one_image_and_complex_ones() -> None:
    assert np.allclose(pictures(montage(1j * REFERENCE))[0].get_array(), REFERENCE)
    assert pictures(montage(np.zeros((3, 8, 8))))[0].get_clim() == (0, 1)
    for shape in ((0, 8, 8), (8,), (1, 2, 8, 8)):
        with pytest.raises(ShapeError, match="expected"):
            montage(np.zeros(shape))


def test_comparison_puts_images_and_errors_side_by_side() -> None:
    figure = comparison(IMAGES, REFERENCE, error_scale=4, title="R = 4")
    truth, first, first_error, second, second_error = pictures(figure)[:5]
    peak = np.percentile(REFERENCE, 99.5)
    assert np.array_equal(truth.get_array(), REFERENCE)
    assert np.array_equal(first.get_array(), IMAGES["SENSE"])
    assert np.array_equal(second.get_array(), IMAGES["Wavelet"])
    assert {image.get_clim() for image in (truth, first, second)} == {(0.0, peak)}
    assert np.allclose(first_error.get_array(), 0.05)
    assert np.allclose(second_error.get_array(), 0.01 * REFERENCE)
    assert {image.get_clim() for image in (first_error, second_error)} == {(0.0, peak / 4)}
    above, below = first.axes.get_position(), first_error.axes.get_position()
    assert (above.x0, above.x1) == (below.x0, below.x1)
    assert above.y0 > below.y1
    assert truth.axes.get_position().x1 < above.x0 < second.axes.get_position().x0


def test_comparison_titles_carry_psnr_and_ssim_and_the_best_stands_out() -> None:
    figure = comparison(IMAGES, REFERENCE)
    for name, image in IMAGES.items():
        line = f"{psnr(image, REFERENCE):.1f} dB / {ssim(image, REFERENCE):.3f}"
        assert name in texts(figure)
        (text,) = (text for text in figure.texts if text.get_text() == line)
        assert (to_hex(text.get_color()) == BRIGHT) == (name == "Wavelet")
    assert "5 x brighter" in texts(figure)


def test_comparison_takes_scores_measured_elsewhere() -> None:
    figure = comparison(IMAGES, REFERENCE, scores={"SENSE": (30.72, 0.87), "Wavelet": (34.21, 0.938)})
    assert {"30.7 dB / 0.870", "34.2 dB / 0.938"} <= set(texts(figure))


def test_comparison_errors() -> None:
    with pytest.raises(ShapeError, match=r"image 'SENSE' is \(20, 16\), the reference \(20, 15\)"):
        comparison(IMAGES, REFERENCE[:, 1:])
    with pytest.raises(ConfigError, match="0 images"):
        comparison({}, REFERENCE)
    with pytest.raises(ConfigError, match="error_scale 0"):
        comparison(IMAGES, REFERENCE, error_scale=0)
    with pytest.raises(ConfigError, match="scores of SENSE"):
        comparison(IMAGES, REFERENCE, scores={"SENSE": (1, 1)})


def test_curves_draw_every_value_on_a_logarithmic_axis_and_mark_the_best() -> None:
    lam = [0.5, 5.0, 50.0]
    panels = {
        "PSNR [dB]": {"R = 4": [30.0, 34.0, 31.0], "R = 6": [29.0, 28.0, np.nan]},
        "SSIM": {"R = 4": [0.8, 0.9, 1]},
    }
    figure = curves(lam, panels, xlabel="λ", title="Sweep")
    left, right = figure.axes
    assert [axes.get_ylabel() for axes in (left, right)] == list(panels)
    assert {axes.get_xscale() for axes in (left, right)} == {"log"}
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["R = 4", "R = 6"]  # type: ignore[union-attr]
    lines = [line.get_xydata() for line in left.lines]
    assert np.array_equal(lines[0], np.column_stack([lam, panels["PSNR [dB]"]["R = 4"]]))
    assert lines[1].tolist() == [[5, 34]]  # type: ignore[union-attr]
    assert lines[3].tolist() == [[0.5, 29]]  # type: ignore[union-attr]
    drawn(figure)
    assert {"0.5", "5", "50"} <= {label.get_text() for label in left.get_xticklabels()}
    assert len(curves(lam, panels, "λ", mark_best=False).axes[0].lines) == 2


@pytest.mark.parametrize("x", [[], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, float("nan")]])
def test_curves_need_ascending_positive_places(x: list[float]) -> None:
    with pytest.raises(ConfigError, match="positive and ascending"):
        curves(x, {"PSNR": {"a": x}}, "λ")


def test_curves_need_one_value_per_place() -> None:
    with pytest.raises(ShapeError, match="curve 'a' has 3 values for 2 places"):
        curves([1, 2], {"PSNR": {"a": [1, 2, 3]}}, "λ")


def test_maps_share_one_scale_with_a_labelled_color_bar() -> None:
    maps = {"R = 2": 1 + REFERENCE, "R = 4": np.where(REFERENCE > 0.5, 3.0, np.nan)}
    figure = map_figure(maps, "g-factor", limits=(1, 4))
    shown = pictures(figure)
    assert {image.get_clim() for image in shown[:2]} == {(1.0, 4.0)}
    assert figure.axes[-1].get_ylabel() == "g-factor"
    assert texts(figure) == list(maps)
    values = np.concatenate([(1 + REFERENCE).ravel(), np.full((REFERENCE > 0.5).sum(), 3.0)])
    assert pictures(map_figure(maps, "g"))[0].get_clim() == (0, np.percentile(values, 99.5))


def test_unknown_places_of_a_map_stay_black_pixel_by_pixel() -> None:
    known = np.ones((9, 9))
    known[4, 4] = np.nan
    figure = map_figure({"g": known}, "g", limits=(0, 1))
    box = figure.axes[0].get_window_extent()
    image = drawn(figure)[::-1]
    y, x = int((box.y0 + box.y1) / 2), int((box.x0 + box.x1) / 2)
    pixel = box.width / 9
    assert image[y, x, :3].tolist() == [0, 0, 0]
    assert image[y, int(x + 0.7 * pixel), :3].min() > 100


def test_map_errors() -> None:
    with pytest.raises(ConfigError, match="no finite value"):
        map_figure({"g": np.full((8, 8), np.nan)}, "g")
    with pytest.raises(ConfigError, match="no finite value"):
        map_figure({}, "g")
    with pytest.raises(ShapeError, match=r"\(7, 8\), \(8, 8\)"):
        map_figure({"a": np.ones((8, 8)), "b": np.ones((7, 8))}, "g")


def test_figures_draw_without_warnings_or_global_state() -> None:
    """In a fresh interpreter: Matplotlib comes with the first figure, pyplot never."""
    code = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
from kascade.report import figures
assert "matplotlib" not in sys.modules
ones = np.ones((9, 9))
for figure in (
    figures.montage(ones, "t"),
    figures.comparison({"a": ones}, ones),
    figures.map_figure({"a": ones}, "g"),
    figures.curves([1, 2], {"PSNR": {"a": [1, 2]}}, "λ", "t"),
):
    figure.canvas.draw()
assert "matplotlib.pyplot" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
