from __future__ import annotations

import numpy as np

from kascade.train.curves import training_curves
from kascade.train.pictures import mosaic


def test_each_example_is_a_row_of_four_in_its_own_window() -> None:
    target = np.full((10, 8), 2.0)
    small = np.full((6, 8), 0.5)
    whole = mosaic([(0 * target, 1.1 * target, target), (small, small, small)])
    assert whole.shape == (24, 44)
    np.testing.assert_allclose(whole[:10, :8], 0)
    np.testing.assert_allclose(whole[:10, 12:20], 1)
    np.testing.assert_allclose(whole[:10, 36:], 0.5)  # the error of 10 %, 5 x brighter
    np.testing.assert_allclose(whole[14:20, 24:32], 1)
    assert not whole[20:].any() and whole.min() >= 0 and whole.max() <= 1


def test_an_empty_target_is_drawn() -> None:
    zero = np.zeros((10, 8))
    assert not mosaic([(zero, zero, zero)]).any()


def test_curves_of_a_logarithmic_loss_are_drawn() -> None:
    rows = [{"step": 1.0, "loss": -0.5, "validation_loss": -0.6, "validation_psnr": 20.0}]
    assert training_curves(rows).axes[0].get_yscale() == "linear"
    assert training_curves([{"step": 1.0, "loss": 0.5}]).axes[0].get_yscale() == "log"


def test_curves_show_lambdas_where_there_are_any() -> None:
    rows = [{"step": 1.0, "loss": 0.5, "validation_psnr": 20.0}, {"step": 2.0, "loss": 0.4, "validation_psnr": 21.0}]
    assert len(training_curves(rows).axes) == 2
    lambdas = [{**row, "lambda_1": 5.0, "lambda_2": 4.0, "lambda_10": 1.0} for row in rows]
    panel = training_curves(lambdas).axes[2]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["1", "2", "10"]
