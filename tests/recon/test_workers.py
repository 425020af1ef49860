"""Several processes at work."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from kascade.errors import KascadeError
from kascade.recon.workers import each_in_a_process

pytestmark = pytest.mark.slow  # every process imports torch


def threads_and_square(number):
    return torch.get_num_threads(), number**2


def die(_):
    os._exit(1)


def wait_in(folder):
    begun = Path(folder) / "begun"
    try:
        begun.touch()
        time.sleep(60)
    finally:
        begun.unlink()


def test_every_job_is_answered_and_the_cores_are_shared():
    answers = dict(each_in_a_process(threads_and_square, [1, 2, 3], 2))
    threads = max(1, os.cpu_count() // 2)
    assert answers == {1: (threads, 1), 2: (threads, 4), 3: (threads, 9)}


def test_a_process_that_dies_is_told():
    answers = list(each_in_a_process(die, [1, 2], 2))
    assert [job for job, _ in sorted(answers, key=str)] == [1, 2]
    assert all(isinstance(answer, KascadeError) and "worker process died" in str(answer) for _, answer in answers)


def test_leaving_early_ends_the_processes_and_lets_them_clean_up(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    answers = each_in_a_process(_first_at_once, [None, *folders], 3)
    assert next(answers) == (None, None)
    deadline = time.monotonic() + 30
    while not all((folder / "begun").exists() for folder in folders) and time.monotonic() < deadline:
        time.sleep(0.05)
    begun = time.monotonic()
    answers.close()
    assert time.monotonic() - begun < 30
    assert not any((folder / "begun").exists() for folder in folders)


def _first_at_once(folder):
    if folder is not None:
        wait_in(folder)
