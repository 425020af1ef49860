"""What all commands have in common: help, errors and their exit codes, quiet, debug."""

from __future__ import annotations

import re

import pytest

from kascade import __version__
from kascade.cli import console
from kascade.cli.main import app

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]


def test_version(kascade):
    run = kascade("--version")
    assert (run.code, run.out) == (0, f"kascade {__version__}\n")


def test_help_names_every_command(kascade):
    run = kascade("--help")
    assert run.code == 0
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", run.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_with_an_example(kascade, name):
    run = kascade(name, "--help")
    assert run.code == 0
    assert re.search(rf"Examples?\s+kascade {name}\b", run.out)
    assert "--quiet" in run.out and "--debug" in run.out


def test_no_default_is_lost_to_the_markup_of_help(kascade):
    """Rich swallows text in brackets."""
    for name in COMMANDS:
        assert not re.search(r"\s\.\s", kascade(name, "--help").out)


def test_bad_input_is_one_line_and_code_2(kascade, tmp_path):
    run = kascade("recon", tmp_path / "nothing.h5", "-o", tmp_path / "out")
    assert run.code == 2
    assert run.err == f"kascade: error: {tmp_path}/nothing.h5: no such file\n"
    assert run.out == ""


def test_failure_is_code_1(kascade, brain):
    run = kascade("convert", brain, brain)
    assert run.code == 1
    assert run.err.startswith(f"kascade: error: {brain}: exists already")
    assert run.err.count("\n") == 1


def test_wrong_command_line_is_code_2(kascade):
    assert kascade("recon", "--no-such-option").code == 2
    assert kascade("nonsense").code == 2


def test_debug_prints_the_traceback(kascade, tmp_path):
    run = kascade("inspect", tmp_path / "nothing.h5", "--debug")
    assert run.code == 2
    assert "Traceback" in run.err
    assert run.err.endswith(f"kascade: error: {tmp_path}/nothing.h5: no such file\n")
    assert "Traceback" not in kascade("inspect", tmp_path / "nothing.h5").err


def test_a_bug_is_one_line_too(kascade, brain, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("that was\nnot planned")

    monkeypatch.setattr("kascade.data.load", broken)
    run = kascade("inspect", brain)
    assert run.code == 1
    assert run.err == (
        "kascade: error: ZeroDivisionError: that was not planned (a bug? --debug prints the traceback)\n"
    )


def test_interrupt_ends_without_a_traceback(kascade, brain, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kascade.data.load", interrupted)
    run = kascade("inspect", brain)
    assert run.code != 0
    assert "Traceback" not in run.err


def test_quiet_drops_notes_and_keeps_results(kascade, brain, tmp_path):
    loud = kascade("convert", brain, tmp_path / "loud.h5")
    quiet = kascade("convert", brain, tmp_path / "quiet.h5", "--quiet")
    assert (loud.code, quiet.code) == (0, 0)
    assert "2 slices, 4 coils" in loud.err
    assert quiet.err == quiet.out == ""
    assert kascade("--quiet", "convert", brain, tmp_path / "before.h5").err == ""


def test_settings_of_one_run_do_not_reach_the_next(kascade):
    kascade("--quiet", "--debug", "--version")
    kascade("--version")
    assert console.settings == console.Settings()
