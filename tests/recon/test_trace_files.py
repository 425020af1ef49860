"""The figure of a cascade's steps."""

from __future__ import annotations

import torch

from kascade.recon.trace_files import trace_figure
from tests.battery import random_complex


def records(count: int) -> list[dict[str, float]]:
    return [{"lam": n + 1.5, "cg_iterations": 10 * n, "residual": 0.25} for n in range(count)]


def test_images_networks_and_changes_of_every_iteration() -> None:
    steps = {"x": random_complex(3, 20, 24), "z": random_complex(3, 20, 24, seed=1)}
    figure = trace_figure(steps, records(3), "scan")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 9
    torch.testing.assert_close(torch.as_tensor(shown[1].data), steps["x"][1].abs())
    torch.testing.assert_close(torch.as_tensor(shown[5].data), steps["z"][2].abs())
    change = (steps["z"][0] - steps["x"][0]).abs()
    torch.testing.assert_close(torch.as_tensor(shown[6].data), change)
    texts = [text.get_text() for text in figure.texts]
    assert {"iteration 3", "λ 2.5, 10 CG, residual 0.25", "scan"} <= set(texts)


def test_a_final_sense_step_stands_alone_and_long_cascades_wrap() -> None:
    final = {"x": random_complex(3, 20, 24), "z": random_complex(2, 20, 24)}
    assert len(trace_figure(final, records(3)).axes) == 3 + 2 + 2
    long = {"x": random_complex(9, 20, 24), "z": random_complex(9, 20, 24)}
    figure = trace_figure(long, records(9))
    assert len(figure.axes) == 27
    assert figure.axes[21].get_position().y1 < figure.axes[14].get_position().y0


def test_where_the_network_comes_first_its_images_do() -> None:
    steps = {"x": random_complex(2, 20, 24), "z": random_complex(2, 20, 24, seed=1)}
    figure = trace_figure(steps, records(2), network_first=True)
    torch.testing.assert_close(torch.as_tensor(figure.axes[0].images[0].get_array().data), steps["z"][0].abs())


def test_without_sense_steps_the_networks_alone_are_shown() -> None:
    figure = trace_figure({"z": random_complex(2, 20, 24)}, [{"residual": 0.5}, {"residual": 0.25}])
    assert len(figure.axes) == 2
    texts = [text.get_text() for text in figure.texts]
    assert {"iteration 2", "residual 0.25", "z: after\nnetwork"} <= set(texts)
