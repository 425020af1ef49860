"""The parent's side of one process of the speed benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

__all__ = ["LIMIT_S", "Worker", "WorkerError", "prepare"]

MODULE = "kascade.benchmarks.speed_worker"
LIMIT_S = 600.0  # a process that is silent for longer is ended


class WorkerError(Exception):
    """The process ended instead of answering; the message holds its last words."""


def prepare(folder: Path, coils: int, rows: int, columns: int) -> None:
    """Write the inputs, in a process of its own.

    Raises
    ------
    WorkerError
        If that fails.
    """
    command = [sys.executable, "-m", MODULE, "prepare", str(folder), str(coils), str(rows), str(columns)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WorkerError(f"the inputs of the benchmark cannot be made: {_last_line(done.stderr)}")


class Worker:
    """A process that measures one case by one implementation.

    Parameters
    ----------
    folder : Path
        Inputs.
    case, implementation, device : str
        What it runs.
    environment : mapping of str to str, optional
        Variables set for it beside those of this process.
    """

    def __init__(
        self, folder: Path, case: str, implementation: str, device: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed by __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder), case, implementation, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def answer(self) -> dict[str, Any]:
        """Wait for one line of it.

        Raises
        ------
        WorkerError
            If it ended, or was silent for `LIMIT_S`.
        """
        assert self._process.stdout is not None
        timer = Timer(LIMIT_S, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            code = self._process.wait()
            self._said.seek(0)
            raise WorkerError(_last_line(self._said.read()) or f"ended with code {code}, saying nothing")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, order: str) -> dict[str, Any]:
        """Send an order and wait for the answer.

        Raises
        ------
        WorkerError
            As `answer`.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: answer() says how
            print(order, file=self._process.stdin, flush=True)
        return self.answer()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
