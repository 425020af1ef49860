"""Around Lightning: signals that end a training in order, and no notes of Lightning's own."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kascade.errors import KascadeError

if TYPE_CHECKING:
    from kascade.train.keeper import Keeper

__all__ = ["interruptible", "quiet_lightning"]


@contextmanager
def interruptible(keeper: Keeper) -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt, as ever, and SIGTERM an error; Lightning would exit, SIGTERM with code 0.

    Errors of examples that a worker process prepares are the same, of one line, as those of the training process.
    """
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        raise KascadeError(f"ended by SIGTERM; --resume continues from step {keeper.saved_step}") from error
    except KascadeError as error:
        told = str(error).rstrip().splitlines()
        if len(told) > 1 and told[0].startswith("Caught "):  # torch puts the worker's whole traceback into the message
            raise type(error)(told[-1].partition(": ")[2]) from error
        raise
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if in_main_thread:  # Lightning leaves it ignored
            signal.signal(signal.SIGINT, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's notes and advice, which are not for users of a recipe, off the terminal."""
    import pytorch_lightning  # noqa: F401 (sets the levels that are changed here)
    from lightning_fabric.utilities.warnings import PossibleUserWarning

    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", "This DataLoader will create")  # how many workers is the recipe's choice
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
