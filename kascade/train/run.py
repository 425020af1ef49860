"""A training from recipe to run folder."""

from __future__ import annotations

import importlib.util
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kascade.errors import ConfigError, FileFormatError, KascadeError, MissingExtraError
from kascade.train.environment import environment
from kascade.train.examples import TrainingData
from kascade.train.folder import RunFolder
from kascade.train.recipe import Recipe, TrainingConfig

if TYPE_CHECKING:
    from kascade.train.keeper import Keeper

__all__ = ["Trained", "check_run", "is_first_process", "train"]


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes
    ----------
    weights : Path
        The best weights.
    step : int
        When they were found.
    psnr, ssim : float
        Their scores on the validation examples.
    """

    weights: Path
    step: int
    psnr: float
    ssim: float


def check_run(recipe: Recipe, folder: Path, resume: bool = False, force: bool = False) -> None:
    """Find out whether `train` can begin, before data are read.

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    OutputError, ConfigError
        As `train`.
    """
    for package in ("pytorch_lightning", "tensorboard"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train", "training")
    if is_first_process():
        RunFolder(Path(folder)).check(recipe, resume, force)


def train(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    *,
    text: str | None = None,
    resume: bool = False,
    force: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    progress: bool = False,
    told: Callable[[str], None] | None = None,
) -> Trained:
    """Train a cascade as its recipe says.

    Everything random follows from the recipe's seed, and the state is saved after each validation: a training that is
    killed and resumed ends with the same weights as one that is not (on a GPU up to rounding, where cuDNN and atomic
    additions do not keep an order).

    Parameters
    ----------
    recipe : Recipe
        What to train, and how.
    data : TrainingData
        The examples; `TrainingData(recipe.data, data_folder, recipe.training.seed)`.
    folder : Path
        The run folder.
    text : str, optional
        The recipe as its author wrote it.
    resume : bool
        Continue a training in this folder; where there is none, or it had not come to its first validation, begin.
    force : bool
        Replace a training that is there.
    accelerator : str
        "auto" (CUDA where there is any, else the CPU), or one of Lightning's names.
    devices : int
        How many; they share each batch (DDP).
    progress : bool
        Show Lightning's progress bar.
    told : callable, optional
        Gets one line after each validation.

    Returns
    -------
    Trained

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    OutputError
        If another training is in the folder, or it cannot be written.
    ConfigError
        If the resumed training had another recipe, or there are not so many devices.
    KascadeError
        If loss or gradient become infinite.
    """
    check_run(recipe, folder, resume, force)
    run = RunFolder(Path(folder))
    written = _as_yaml(recipe) if text is None else text
    with _quiet_lightning():
        if is_first_process():
            run.prepare(recipe, written, environment(recipe.training.seed), resume)
        return _fit(
            recipe,
            data,
            run,
            written,
            resume,
            accelerator,
            devices,
            progress,
            told if told and is_first_process() else _silent,
        )


def _fit(
    recipe: Recipe,
    data: TrainingData,
    run: RunFolder,
    text: str,
    resume: bool,
    accelerator: str,
    devices: int,
    progress: bool,
    told: Callable[[str], None],
) -> Trained:
    import pytorch_lightning as pl
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from kascade.train.batches import Batches, shares
    from kascade.train.keeper import Keeper
    from kascade.train.log import RunLog
    from kascade.train.module import CascadeTraining
    from kascade.train.pictures import ValidationImages

    config = recipe.training
    shares(range(1), config.batch, 0, devices)  # raises where devices cannot share a batch
    pictures = ValidationImages(run)
    keeper = Keeper(run, text, data, pictures, told)
    state = _saved_state(run) if resume and run.checkpoint.exists() else None
    if state is not None:
        saved = state["callbacks"][keeper.state_key]
        if saved["stopped"] or state["global_step"] >= config.steps:
            told(f"{run.path}: this training has ended (step {state['global_step']}); nothing is left to do")
            return _result(run, saved["best"])
        told(f"resuming from step {state['global_step']}")
    try:
        trainer = pl.Trainer(
            accelerator=_accelerator(accelerator),
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            max_epochs=_epochs(config, state),
            callbacks=[RunLog(run, told), pictures, keeper],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            default_root_dir=run.path,
        )
    except (MisconfigurationException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"accelerator {accelerator}, devices {devices}: {reason[:200]}") from error
    training = CascadeTraining(recipe)
    with _interruptible(keeper):
        trainer.fit(
            training,
            datamodule=Batches(data, config),
            ckpt_path=run.checkpoint if state is not None else None,
            weights_only=True,
        )
    return _result(run, keeper.best)


def _epochs(config: TrainingConfig, state: dict[str, Any] | None) -> int:
    """How many epochs, which are validation intervals, Lightning has counted when all steps are done."""
    steps_done, epochs_done = (state["global_step"], state["epoch"] + 1) if state is not None else (0, 0)
    return int(epochs_done) - (-config.steps // config.validate_every) - int(steps_done) // config.validate_every


def _result(run: RunFolder, best: dict[str, Any]) -> Trained:
    return Trained(run.best, int(best["step"]), best["psnr"], best["ssim"])


def _silent(line: str) -> None:
    """Tell nobody."""


def is_first_process() -> bool:
    """Whether this is not one of those that DDP starts, with the same command, for further devices."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank: int = getattr(rank_zero_only, "rank", 0)
    return rank == 0


def _accelerator(name: str) -> str:
    """Resolve "auto" among devices that know complex numbers."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _saved_state(run: RunFolder) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
        _ = state["global_step"], state["callbacks"]
        return state
    except Exception as error:  # torch.load has no error of its own for what is not its file
        reason = " ".join(str(error).split())[:150]
        raise FileFormatError(
            f"{run.checkpoint}: cannot be resumed from ({type(error).__name__}: {reason}); --force starts again"
        ) from error


def _as_yaml(recipe: Recipe) -> str:
    import yaml

    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    return text


@contextmanager
def _interruptible(keeper: Keeper) -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt, as ever, and SIGTERM an error; Lightning would exit, SIGTERM with code 0."""
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        raise KascadeError(f"ended by SIGTERM; --resume continues from step {keeper.saved_step}") from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if in_main_thread:  # Lightning leaves it ignored
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
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
