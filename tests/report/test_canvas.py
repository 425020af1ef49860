"""Figures are saved whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from kascade.errors import OutputError
from kascade.report.canvas import cell, new_figure, save_figure, show


def square() -> Figure:
    figure = new_figure(1, 1)
    show(cell(figure, 0.25, 0.1, 0.5, 0.2), np.ones((4, 4)), 1.0)
    return figure


def test_places_are_inches_from_the_upper_left_corner(tmp_path: Path) -> None:
    save_figure(square(), tmp_path / "a.png")
    gray = imread(tmp_path / "a.png")[..., 0]
    side = len(gray)
    rows, columns = np.nonzero(gray > 0.5)
    assert (rows.min() / side, columns.min() / side) == pytest.approx((0.1, 0.25), abs=0.01)
    assert (rows.max() / side, columns.max() / side) == pytest.approx((0.3, 0.75), abs=0.01)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_suffix_says_how(tmp_path: Path, suffix: str, start: bytes) -> None:
    save_figure(square(), tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.png: exists already; use --force"):
        save_figure(square(), path)
    assert path.read_bytes() == b"mine"
    save_figure(square(), path, force=True)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_full_disk_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")

    def fail(self: Figure, beside: Path, **_: object) -> None:
        Path(beside).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OutputError, match=r"a\.png: the figure cannot be written \(.*No space left"):
        save_figure(square(), path, force=True)
    assert path.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_paths_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    for name in ("none/a.png", "a.unknown"):
        with pytest.raises(OutputError, match=f"{name}: the figure cannot be written"):
            save_figure(square(), tmp_path / name)
    with pytest.raises(OutputError, match="exists already"):
        save_figure(square(), tmp_path, force=True)
    assert list(tmp_path.iterdir()) == []
