"""A training from recipe to run folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kascade.errors import ConfigError, FileFormatError, MissingExtraError
from kascade.train.environment import environment
from kascade.train.folder import MAY_CHANGE, RunFolder
from kascade.train.recipe import BaseRecipe, TrainingConfig
from kascade.train.session import interruptible, quiet_lightning
from kascade.train.start import load_start, start_facts

if TYPE_CHECKING:
    from pytorch_lightning import Callback, Trainer

    from kascade.train.batches import ExampleSource

__all__ = ["Trained", "check_run", "is_first_process", "silent", "train"]


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes
    ----------
    weights : Path
        The best weights.
    step : int
        When they were found.
    scores : dict
        Their scores on the validation examples.
    """

    weights: Path
    step: int
    scores: dict[str, float]

    @property
    def psnr(self) -> float:
        """In dB, on the validation examples."""
        return self.scores["psnr"]

    @property
    def ssim(self) -> float:
        """On the validation examples."""
        return self.scores["ssim"]


def check_run(
    recipe: BaseRecipe,
    folder: Path,
    resume: bool = False,
    force: bool = False,
    may_change: Sequence[str] = MAY_CHANGE,
) -> None:
    """Find out whether `train` can begin, before data are read.

    The keys `may_change` of the section `training` may have other values than in the training to resume.

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    OutputError, ConfigError, FileFormatError
        As `train`.
    """
    for package in ("pytorch_lightning", "tensorboard"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train", "training")
    if is_first_process():
        run = RunFolder(Path(folder))
        run.check(recipe, resume, force, may_change)
        if recipe.training.start_from is not None and not (resume and run.checkpoint.exists()):
            load_start(recipe.training.start_from)


def train(
    recipe: BaseRecipe,
    data: ExampleSource,
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
    """Train a model as its recipe says.

    Everything random follows from the recipe's seed, and the state is saved after each validation: a training that is
    killed and resumed ends with the same weights as one that is not (on a GPU up to rounding, where cuDNN and atomic
    additions do not keep an order).

    Parameters
    ----------
    recipe : BaseRecipe
        What to train, and how.
    data : ExampleSource
        The examples: `kascade.train.tasks.make_data(recipe, data_folder)`.
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
    FileFormatError
        If the saved state is damaged, or the file of `training.start_from` is not there or damaged.
    KascadeError
        If loss or gradient become infinite.
    """
    check_run(recipe, folder, resume, force)
    run = RunFolder(Path(folder))
    written = _as_yaml(recipe) if text is None else text
    note = told if told and is_first_process() else silent
    state = _saved_state(run) if resume and run.checkpoint.exists() else None
    if state is not None and _has_ended(state, recipe.training):
        note(f"{run.path}: this training has ended (step {state['global_step']}); nothing is left to do")
        return _result(run, _kept(state)["best"])
    with quiet_lightning():
        return _fit(recipe, data, run, written, state, resume, note, accelerator, devices, progress)


def _fit(
    recipe: BaseRecipe,
    data: ExampleSource,
    run: RunFolder,
    text: str,
    state: dict[str, Any] | None,
    resume: bool,
    told: Callable[[str], None],
    accelerator: str,
    devices: int,
    progress: bool,
) -> Trained:
    """Train; whatever can be found out before goes first, and only then is the folder touched."""
    from kascade.train.batches import Batches, shares
    from kascade.train.keeper import Keeper
    from kascade.train.log import RunLog
    from kascade.train.pictures import ValidationImages
    from kascade.train.tasks import make_training

    config = recipe.training
    shares(range(1), config.batch, 0, devices)  # raises where devices cannot share a batch
    pictures = ValidationImages(run)
    keeper = Keeper(run, recipe, text, data, pictures, told, _start(config, state))
    callbacks = [RunLog(run, told), pictures, keeper]
    trainer = _trainer(run.path, callbacks, _epochs(config, state), accelerator, devices, progress)
    training = make_training(recipe, data, restored=state is not None)
    batches = Batches(data, config)
    if is_first_process():
        run.prepare(recipe, text, environment(config.seed), resume)
    if state is not None:
        told(f"resuming from step {state['global_step']}")
    with interruptible(keeper):
        trainer.fit(
            training,
            datamodule=batches,
            ckpt_path=run.checkpoint if state is not None else None,
            weights_only=True,
        )
    return _result(run, keeper.best)


def _trainer(
    folder: Path, callbacks: list[Callback], epochs: int, accelerator: str, devices: int, progress: bool
) -> Trainer:
    import pytorch_lightning as pl
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        return pl.Trainer(
            accelerator=_accelerator(accelerator),
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            max_epochs=epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            default_root_dir=folder,
        )
    except (MisconfigurationException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"accelerator {accelerator}, devices {devices}: {reason[:200]}") from error


def _kept(state: dict[str, Any]) -> dict[str, Any]:
    """What `Keeper` put into a saved state."""
    kept: dict[str, Any] = state["callbacks"]["Keeper"]
    return kept


def _start(config: TrainingConfig, state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Facts of what the training started from; a state remembers them, only those of an early version do not."""
    if config.start_from is None:
        return None
    facts = None if state is None else _kept(state).get("start")
    return start_facts(config.start_from) if facts is None else facts


def _has_ended(state: dict[str, Any], config: TrainingConfig) -> bool:
    return bool(state["global_step"] >= config.steps or config.gives_up(_kept(state)["waited"]))


def _epochs(config: TrainingConfig, state: dict[str, Any] | None) -> int:
    """How many epochs, which are validation intervals, Lightning has counted when all steps are done."""
    steps_done, epochs_done = (state["global_step"], state["epoch"] + 1) if state is not None else (0, 0)
    return int(epochs_done) - (-config.steps // config.validate_every) - int(steps_done) // config.validate_every


def _result(run: RunFolder, best: dict[str, Any]) -> Trained:
    scores = {name: value for name, value in best.items() if name != "step"}
    return Trained(run.best, int(best["step"]), scores)


def silent(line: str) -> None:
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


def _as_yaml(recipe: BaseRecipe) -> str:
    import yaml

    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    return text
