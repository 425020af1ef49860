"""What is printed where."""

from __future__ import annotations

import warnings

import pytest
import typer

from kascade.cli import console


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setattr(console, "settings", console.Settings())
    return console.settings


def test_results_and_notes_go_to_their_streams(capsys, settings):
    console.result("a result")
    console.note("a note")
    settings.quiet = True
    console.note("dropped")
    console.result("kept")
    console.warn("kept, too")
    assert capsys.readouterr() == ("a result\nkept\n", "a note\nwarning: kept, too\n")


def test_an_error_is_one_line(capsys):
    console.error("two\nlines")
    assert capsys.readouterr().err == "kascade: error: two lines\n"


def test_table_is_not_folded_without_a_terminal(capsys):
    console.table(("name", "number"), [("a" * 90, "1"), ("b", "22")])
    lines = capsys.readouterr().out.splitlines()
    assert any("a" * 90 in line and line.rstrip().endswith(" 1") for line in lines)


def test_square_brackets_are_text(capsys):
    console.facts("[file]", [("echo time [ms]", "[bold]5[/bold]")])
    out = capsys.readouterr().out
    assert "[file]" in out and "echo time [ms]" in out and "[bold]5[/bold]" in out


def test_failures_end_the_command(capsys):
    console.exit_if_failed([], 3)
    with pytest.raises(typer.Exit) as end:
        console.exit_if_failed(["a.h5: bad"], 3)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "kascade: error: a.h5: bad\nkascade: error: 1 of 3 files failed\n"


def test_warnings_are_one_line_unless_debugging(capsys, settings):
    with console.readable_warnings():
        warnings.simplefilter("always")
        warnings.warn("it did not converge", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: it did not converge\n"


def test_progress_is_silent_without_a_terminal(capsys):
    with console.progress("working") as bar:
        done = list(bar.over(range(3), 3))
        bar.part(0.5, 2)
        bar.counter(2)()
        bar.narrator(2)("a step")
    assert done == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
