"""Many jobs in several processes: one that dies is reported, an interrupt ends all of them and leaves no rubbish."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import TypeVar

import torch

from kascade.errors import KascadeError

__all__ = ["each_in_a_process"]

Job = TypeVar("Job")
Answer = TypeVar("Answer")

DIED = "a worker process died; was there too little memory? Try fewer --workers, and --resume"


def each_in_a_process(
    function: Callable[[Job], Answer], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Answer | KascadeError]]:
    """Call `function` on each job in one of several processes, which share the processor's cores.

    Parameters
    ----------
    function : callable
        Picklable, as are its argument and its answer.
    jobs : sequence
        Its arguments.
    workers : int
        Number of processes.

    Yields
    ------
    job, answer
        In the order in which they are done; the answer is a KascadeError if the process died.
    """
    others = set(active_children())
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _start, (threads,))
    finished = False
    try:
        with _interrupts_held_back():  # what is held back here the new processes never get
            futures = {pool.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                yield futures[future], KascadeError(DIED)
        finished = True
    finally:
        if not finished:
            for process in set(active_children()) - others:
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _start(threads: int) -> None:
    """Prepare a new process: its share of the cores, and an end that lets it clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    torch.set_num_threads(threads)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
