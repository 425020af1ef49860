"""Figures of the restoration benchmark: restored images, local degradations with their explanation, low field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from kascade.benchmarks.restore_explain import LocalCase
from kascade.benchmarks.restore_lowfield import LowField
from kascade.benchmarks.restore_tests import MIXTURES, RestoreTest
from kascade.recon.restoration.restore import restore_slices
from kascade.report.grid import Panel, image_grid
from kascade.report.restoration_score import score_restored

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["examples_figure", "explanations_figure", "low_field_figure"]

TAKEN_SCALE = 2


def examples_figure(
    tests: Sequence[RestoreTest], networks: Mapping[str, nn.Module], severity: str = "severe"
) -> Figure:
    """One slice of the first subject in each mixture: degraded, by each network, clean."""
    rows: list[list[Panel | None]] = []
    first = tests[0].subject
    mine = [test for test in tests if test.subject == first and test.severity == severity]
    middle = sorted({test.slice for test in mine})[len({test.slice for test in mine}) // 2]
    for mixture in MIXTURES:
        test = next(t for t in mine if t.mixture == mixture and t.slice == middle)
        x = test.degraded[None]
        images = {"degraded": x[0, 1]} | {name: restore_slices(n, x)[0][0, 1] for name, n in networks.items()}
        panels: list[Panel | None] = [
            Panel(_gray(image).numpy(), name if not rows else "", _psnr(test, image), 1.0)
            for name, image in images.items()
        ]
        rows.append([*panels, Panel(_gray(test.clean[1]).numpy(), "clean" if not rows else "", "", 1.0)])
    return image_grid(rows, [mixture.replace("+", "\n+ ") for mixture in MIXTURES], f"{first}, {severity}")


def explanations_figure(cases: Sequence[LocalCase]) -> Figure:
    """Images with a degraded disk, and their explanations; the disk's edge is drawn into both."""
    rows: list[list[Panel | None]] = []
    sources = list(dict.fromkeys(case.source for case in cases))
    by_source = [[case for case in cases if case.source == source] for source in sources]
    for group in by_source:
        panels: list[Panel | None] = []
        for case in group:
            edge = _edge(case.disk)
            panels.append(Panel(case.image.masked_fill(edge, 1).numpy(), "" if rows else "image", "", 1.0))
            text = f"{case.concentration:.1f} x the rest"
            panels.append(Panel(case.explanation.masked_fill(edge, 1).numpy(), "explanation", text, 1.0, "inferno"))
        rows.append(panels)
    return image_grid(rows, sources, "Degraded within the disk only")


def low_field_figure(found: Sequence[LowField]) -> Figure:
    """The middle slice of each contrast: measured, restored, what that changed, and 3 T."""
    rows: list[list[Panel | None]] = []
    for case in found:
        n = len(case.measured) // 2
        panels: list[Panel | None] = [Panel(case.measured[n].numpy(), "0.055 T", "", 1.0)]
        for name, images in case.restored.items():
            panels.append(Panel(images[n].numpy(), name, "", 1.0))
            change = (images[n] - case.measured[n]).abs()
            panels.append(Panel(change.numpy(), "changed", f"{TAKEN_SCALE} x brighter", 1 / TAKEN_SCALE, "inferno"))
        rows.append([*panels, Panel(case.reference[n].numpy(), "3 T", "not registered", 1.0)])
    return image_grid(rows, [case.name for case in found], "Real degraded images: no truth is known")


def _gray(image: Tensor) -> Tensor:
    return (image + 1) / 2


def _psnr(test: RestoreTest, image: Tensor) -> str:
    found = score_restored(image.numpy(), test.clean[1].numpy(), test.head.numpy())
    return "" if found is None else f"{found.psnr:.2f} dB"


def _edge(disk: Tensor) -> Tensor:
    inner = disk & disk.roll(1, 0) & disk.roll(-1, 0) & disk.roll(1, 1) & disk.roll(-1, 1)
    return disk & ~inner
