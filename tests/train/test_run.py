from __future__ import annotations

import errno
import json
import math
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from safetensors.torch import load_file

from kascade.errors import ConfigError, FileFormatError, KascadeError, MissingExtraError, OutputError
from kascade.train import folder as folder_module
from kascade.train import run as run_module
from kascade.train.keeper import Keeper
from kascade.train.log import RunLog, read_metrics
from kascade.train.run import check_run, train
from kascade.unroll import load_model
from tests.train.tiny import TinyData, TinyExamples, encoding, example, tiny_recipe

pytestmark = pytest.mark.usefixtures("no_curves")


class Killed(Exception):  # noqa: N818 (none of ours)
    """Stands for whatever ends a process."""


class KillAt(Callback):
    """Ends the training when a step begins."""

    def __init__(self, step: int, by: BaseException | signal.Signals) -> None:
        self.step, self.by = step, by

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            if isinstance(self.by, signal.Signals):
                os.kill(os.getpid(), self.by)
            else:
                raise self.by


def killed(
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    recipe: Any,
    folder: Path,
    by: BaseException | signal.Signals = Killed(),  # noqa: B008
    raises: type[BaseException] = Killed,
    **options: Any,
) -> None:
    """Train until `step` and die there."""
    import pytorch_lightning as pl

    with monkeypatch.context() as patch:
        whole = pl.Trainer.__init__

        def with_kill(self: Any, *arguments: Any, callbacks: list[Callback], **keywords: Any) -> None:
            whole(self, *arguments, callbacks=[KillAt(step, by), *callbacks], **keywords)

        patch.setattr(pl.Trainer, "__init__", with_kill)
        with pytest.raises(raises):
            train(recipe, TinyData(), folder, **options)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(path))


def assert_equal_weights(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of so small a training goes into its figure, which one test is enough for."""
    monkeypatch.setattr(RunLog, "_draw", lambda self: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an uninterrupted training of 7 steps."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(tiny_recipe(), TinyData(), folder, text="name: tiny\n")
    return folder


def test_a_run_folder_holds_everything(whole: Path) -> None:
    recipe = tiny_recipe()
    assert json.loads((whole / "recipe.json").read_text()) == recipe.model_dump(mode="json")
    assert (whole / "recipe.yaml").read_text() == "name: tiny\n"
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__ and environment["seed"] == recipe.training.seed
    assert [row["step"] for row in read_metrics(whole / "metrics.csv")] == [3, 6, 7]
    assert list((whole / "tensorboard").iterdir())
    assert {path.name for path in (whole / "images").iterdir()} == {"latest.png", "best.png"}
    assert all((whole / name).stat().st_size for name in ("curves.png", "model-card.md", "last.ckpt"))
    assert not [path for path in whole.iterdir() if path.name.startswith(".")]


def test_weights_carry_their_card(whole: Path) -> None:
    found = load_model(whole / "last.safetensors")
    assert found.config == tiny_recipe().model
    assert found.card["steps"] == 7 and found.card["licence"] == "CC0" and found.card["recipe"] == "name: tiny\n"
    assert found.card["parameters"] == sum(p.numel() for p in found.model.parameters())
    assert found.card["data"][0]["licence"]
    card = (whole / "model-card.md").read_text()
    assert "# tiny" in card and "CC0" in card


def test_the_best_weights_are_those_of_the_highest_psnr(whole: Path) -> None:
    rows = read_metrics(whole / "metrics.csv")
    best = max(rows, key=lambda row: row["validation_psnr"])
    card = load_model(whole / "best.safetensors").card
    assert card["steps"] == best["step"]
    assert card["scores"]["psnr"] == pytest.approx(best["validation_psnr"], abs=1e-3)


def test_saved_weights_reconstruct_as_validated(whole: Path) -> None:
    from kascade.train.scores import score

    found = load_model(whole / "last.safetensors")
    scores = []
    for drawn in (TinyData().validation()[index] for index in range(4)):
        with torch.no_grad():
            image = found.model(encoding(drawn), drawn.y).image
        scores.append(score(image.numpy(), drawn.target.numpy()))
    assert found.card["scores"]["psnr"] == pytest.approx(sum(s.psnr for s in scores) / 4, abs=1e-3)
    assert found.card["scores"]["ssim"] == pytest.approx(sum(s.ssim for s in scores) / 4, abs=1e-4)


def test_training_is_deterministic(whole: Path, tmp_path: Path) -> None:
    train(tiny_recipe(), TinyData(), tmp_path / "run")
    assert_equal_weights(whole / "last.safetensors", tmp_path / "run/last.safetensors")


def test_another_seed_gives_other_weights(whole: Path, tmp_path: Path) -> None:
    train(tiny_recipe(training={"seed": 1}), TinyData(), tmp_path / "run")
    a, b = weights(whole / "last.safetensors"), weights(tmp_path / "run/last.safetensors")
    assert any(not torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_killed_training_resumes_to_the_same_weights(
    step: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    killed(monkeypatch, step, tiny_recipe(), folder)
    told: list[str] = []
    train(tiny_recipe(), TinyData(), folder, resume=True, told=told.append)
    assert ("resuming" in told[0]) == (step >= 3)
    for name in ("last.safetensors", "best.safetensors"):
        assert_equal_weights(whole / name, folder / name)
    one, other = (read_metrics(place / "metrics.csv") for place in (whole, folder))
    for row in (*one, *other):
        del row["seconds_per_step"]
    assert one == other


def test_a_training_is_resumed_twice(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    killed(monkeypatch, 4, tiny_recipe(), folder)
    killed(monkeypatch, 6, tiny_recipe(), folder, resume=True)
    train(tiny_recipe(), TinyData(), folder, resume=True)
    assert_equal_weights(whole / "last.safetensors", folder / "last.safetensors")


def test_a_kill_while_the_state_is_written_costs_one_interval(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and card are new by then, the state is the old one, and half of the new one lies beside it."""
    saved = Keeper._checkpoint

    def dies(self: Keeper, trainer: Any) -> None:
        if trainer.global_step > 3:
            (tmp_path / "run/.last.ckpt.part").write_bytes(b"half")
            raise Killed
        saved(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "_checkpoint", dies)
        with pytest.raises(Killed):
            train(tiny_recipe(), TinyData(), tmp_path / "run")
    assert load_model(tmp_path / "run/last.safetensors").card["steps"] == 6
    told: list[str] = []
    train(tiny_recipe(), TinyData(), tmp_path / "run", resume=True, told=told.append)
    assert told[0] == "resuming from step 3"
    for name in ("last.safetensors", "best.safetensors"):
        assert_equal_weights(whole / name, tmp_path / "run" / name)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.fixture
def heeds_sigint() -> Iterator[None]:
    """Whoever runs the tests: what a shell starts in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_sigint")
@pytest.mark.parametrize(
    ("by", "raises"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, KascadeError)], ids=["SIGINT", "SIGTERM"]
)
def test_signals_end_a_training_in_order(
    by: signal.Signals, raises: type[BaseException], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    told: list[str] = []
    killed(monkeypatch, 4, tiny_recipe(), tmp_path / "run", by=by, raises=raises, told=told.append)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert ("--resume continues from step 3" in told[-1]) == (by is signal.SIGINT)
    train(tiny_recipe(), TinyData(), tmp_path / "run", resume=True)
    assert_equal_weights(whole / "last.safetensors", tmp_path / "run/last.safetensors")


def test_dropout_is_resumed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kascade.nets import unet

    with_dropout = unet.UNet.forward

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(with_dropout(self, x), 0.2, self.training)

    monkeypatch.setattr(unet.UNet, "forward", forward)
    train(tiny_recipe(), TinyData(), tmp_path / "whole")
    killed(monkeypatch, 5, tiny_recipe(), tmp_path / "run")
    torch.rand(100)
    train(tiny_recipe(), TinyData(), tmp_path / "run", resume=True)
    assert_equal_weights(tmp_path / "whole/last.safetensors", tmp_path / "run/last.safetensors")


def test_more_steps_continue_an_ended_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(tiny_recipe(training={"steps": 4}), TinyData(), folder)
    trained = train(tiny_recipe(training={"steps": 8}), TinyData(), folder, resume=True)
    assert [row["step"] for row in read_metrics(folder / "metrics.csv")] == [3, 4, 6, 8]
    assert load_model(folder / "last.safetensors").card["steps"] == 8
    assert trained.weights == folder / "best.safetensors"


def test_an_ended_training_is_not_resumed(whole: Path) -> None:
    before = weights(whole / "last.safetensors")
    told: list[str] = []
    trained = train(tiny_recipe(), TinyData(), whole, text="name: tiny\n", resume=True, told=told.append)
    assert "has ended" in told[0] and trained.step in (3, 6, 7)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(whole / "last.safetensors").items())


def test_workers_change_nothing(whole: Path, tmp_path: Path) -> None:
    train(tiny_recipe(training={"workers": 2}), TinyData(), tmp_path / "run")
    assert_equal_weights(whole / "last.safetensors", tmp_path / "run/last.safetensors")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_an_example_is_one_line_with_workers_too(workers: int, tmp_path: Path) -> None:
    class Missing(TinyExamples):
        def __getitem__(self, index: int) -> Any:
            raise FileFormatError("a.h5: slice 3: cannot be read")

    class Data(TinyData):
        def train(self, epoch: int, size: int) -> TinyExamples:
            return Missing(0, size)

    with pytest.raises(FileFormatError) as caught:
        train(tiny_recipe(training={"workers": workers}), Data(), tmp_path / "run")
    assert str(caught.value) == "a.h5: slice 3: cannot be read"


def test_a_full_disk_is_told(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_lightning as pl

    saved = pl.Trainer.save_checkpoint

    def fails(self: Any, path: Path) -> None:
        if self.global_step == 3:
            return saved(self, path)
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", fails)
        with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written \(No space left.*from step 3"):
            train(tiny_recipe(), TinyData(), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))
    train(tiny_recipe(), TinyData(), tmp_path / "run", resume=True)
    assert_equal_weights(whole / "last.safetensors", tmp_path / "run/last.safetensors")


@pytest.mark.parity
def test_varnet_is_trained(fastmri_package: Any, tmp_path: Path) -> None:
    options = {"chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}
    recipe = tiny_recipe(model={"kind": "varnet", "prior": {"options": options}}, loss={"l1": 1.0, "magnitude": True})
    train(recipe, TinyData(), tmp_path / "run")
    rows = read_metrics(tmp_path / "run/metrics.csv")
    assert rows[-1]["step"] == 7 and "lambda_1" not in rows[-1]
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]


def test_training_stops_early(tmp_path: Path) -> None:
    rates = {"learning_rate": 1e-12, "lambda_learning_rate": 1e-12, "ema": 0}
    plan = {"steps": 20, "validate_every": 1, **rates}
    recipe = tiny_recipe(training={**plan, "early_stop": 2})
    told: list[str] = []
    train(recipe, TinyData(), tmp_path / "run", told=told.append)
    steps = [row["step"] for row in read_metrics(tmp_path / "run/metrics.csv")]
    assert steps[-1] < 20 and "stopped at step" in told[-1]
    train(recipe, TinyData(), tmp_path / "run", resume=True, told=told.append)
    assert "has ended" in told[-1]
    train(tiny_recipe(training={**plan, "early_stop": 4}), TinyData(), tmp_path / "run", resume=True, told=told.append)
    more = [row["step"] for row in read_metrics(tmp_path / "run/metrics.csv")]
    assert more[-1] > steps[-1] and "for 4 validations" in told[-1]
    train(tiny_recipe(training=plan), TinyData(), tmp_path / "run", resume=True)
    assert read_metrics(tmp_path / "run/metrics.csv")[-1]["step"] == 20


def test_another_training_is_not_spoiled(whole: Path) -> None:
    with pytest.raises(OutputError, match="--resume"):
        check_run(tiny_recipe(), whole)
    with pytest.raises(ConfigError, match=r"training\.batch differs"):
        check_run(tiny_recipe(training={"batch": 1}), whole, resume=True)
    check_run(tiny_recipe(training={"steps": 99, "workers": 1}), whole, resume=True)
    check_run(tiny_recipe(training={"batch": 1}), whole, force=True)


def test_a_recipe_of_a_version_that_knew_fewer_keys_is_the_same(whole: Path, tmp_path: Path) -> None:
    content = json.loads((whole / "recipe.json").read_text())
    del content["loss"]["magnitude"]
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    check_run(tiny_recipe(), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"loss\.magnitude differs"):
        check_run(tiny_recipe(loss={"magnitude": True}), tmp_path, resume=True)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"recipe\.json: cannot be read"):
        check_run(tiny_recipe(), tmp_path, resume=True)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".thesis.part").write_text("years of work")
    for options in ({}, {"resume": True}, {"force": True}):
        with pytest.raises(OutputError, match="something else"):
            train(tiny_recipe(), TinyData(), tmp_path, **options)
    assert (tmp_path / ".thesis.part").read_text() == "years of work"


@pytest.mark.parametrize("again", [{"resume": True}, {"force": True}], ids=["resume", "force"])
@pytest.mark.parametrize("finished", [0, 1, 2])
def test_a_kill_while_the_folder_is_prepared_costs_nothing(
    finished: int, again: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When some of its files are there, and another is half written."""
    whole = folder_module.atomic_output
    written: list[Path] = []

    def dies(path: Path, force: bool = False) -> AbstractContextManager[Path]:
        if len(written) == finished:
            (path.parent / f".{path.name}.0123.part").write_text("{")
            raise Killed
        written.append(path)
        return whole(path, force)

    plan, run = tiny_recipe(training={"steps": 1}), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "atomic_output", dies)
        with pytest.raises(Killed):
            train(plan, TinyData(), run)
    train(plan, TinyData(), run, **again)
    assert load_model(run / "last.safetensors").card["steps"] == 1


def test_force_starts_again(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"steps": 3})
    train(tiny_recipe(), TinyData(), tmp_path / "run")
    train(recipe, TinyData(), tmp_path / "run", force=True)
    assert [row["step"] for row in read_metrics(tmp_path / "run/metrics.csv")] == [3]
    train(recipe, TinyData(), tmp_path / "new")
    assert_equal_weights(tmp_path / "run/last.safetensors", tmp_path / "new/last.safetensors")


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    """Weights of a cascade of one iteration, to start from."""
    train(tiny_recipe(name="prior", model={"iterations": 1}, training={"steps": 1}), TinyData(), tmp_path / "prior")
    return tmp_path / "prior/best.safetensors"


def test_the_card_of_a_started_training_holds_the_recipe_of_its_start(tmp_path: Path, prior: Path) -> None:
    recipe = tiny_recipe(training={"steps": 1, "start_from": str(prior)})
    train(recipe, TinyData(), tmp_path / "run")
    before, card = (load_model(path).card for path in (prior, tmp_path / "run/best.safetensors"))
    assert card["start"]["recipe"] == before["recipe"] and card["start"]["steps"] == 1
    assert (tmp_path / "run/model-card.md").read_text().count("```yaml") == 2


def test_a_resumed_training_does_not_need_the_file_that_it_started_from(
    tmp_path: Path, prior: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(training={"start_from": str(prior)})
    train(recipe, TinyData(), tmp_path / "whole")
    killed(monkeypatch, 4, recipe, tmp_path / "run")
    killed(monkeypatch, 1, recipe, tmp_path / "early")
    prior.unlink()
    with pytest.raises(FileFormatError, match="start_from"):  # it had not come to its first validation
        train(recipe, TinyData(), tmp_path / "early", resume=True)
    train(recipe, TinyData(), tmp_path / "run", resume=True)
    assert_equal_weights(tmp_path / "whole/last.safetensors", tmp_path / "run/last.safetensors")
    cards = [load_model(tmp_path / name / "last.safetensors").card for name in ("whole", "run")]
    assert cards[0]["start"] == cards[1]["start"] and cards[0]["start"]["sha256"]


def test_what_cannot_begin_spoils_nothing(whole: Path, tmp_path: Path, prior: Path) -> None:
    class NoValidation(TinyData):
        def validation(self) -> Any:
            raise ConfigError("no source has files for validation")

    def content(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    (tmp_path / "damaged.safetensors").write_bytes(prior.read_bytes()[:-1])
    of_one = {"start_from": str(prior)}
    before = content(whole)
    for recipe, data, options, message in (
        (tiny_recipe(training={"start_from": "runs/little/best.safetensors"}), TinyData(), {}, "'little' first"),
        (tiny_recipe(training={"start_from": "absent.safetensors"}), TinyData(), {}, "start_from: there is no file"),
        (
            tiny_recipe(training={"start_from": str(tmp_path / "damaged.safetensors")}),
            TinyData(),
            {},
            r"training\.start_from: .*damaged",
        ),
        (
            tiny_recipe(training=of_one, model={"prior": {"name": "resunet"}}),
            TinyData(),
            {},
            r"training\.start_from: .*is not that of the recipe",
        ),
        (tiny_recipe(), TinyData(), {"devices": 3, "accelerator": "cpu"}, "cannot be shared by 3"),
        (tiny_recipe(), TinyData(), {"accelerator": "nonsense"}, "accelerator nonsense"),
        (tiny_recipe(), NoValidation(), {}, "no source has files"),
    ):
        for folder, force in ((whole, True), (tmp_path / "new", False)):
            with pytest.raises(KascadeError, match=message) as caught:
                train(recipe, data, folder, force=force, **options)
            assert "\n" not in str(caught.value)
    assert content(whole) == before
    assert not (tmp_path / "new").exists()


def test_a_file_to_start_from_is_looked_for_before_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"training\.start_from: there is no file .*train the recipe 'a' first"):
        check_run(tiny_recipe(training={"start_from": "runs/a/best.safetensors"}), tmp_path / "run")


def test_a_damaged_state_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(monkeypatch, 4, tiny_recipe(), tmp_path / "run")
    state = tmp_path / "run/last.ckpt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(FileFormatError, match=r"last\.ckpt: cannot be resumed from"):
        train(tiny_recipe(), TinyData(), tmp_path / "run", resume=True)


def test_divergence_is_told(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"steps": 30, "learning_rate": 1e30, "gradient_clip": 0, "warm_up": 0})
    with pytest.raises(
        KascadeError, match=r"step \d+: the (loss|gradient) is not finite; lower training.learning_rate"
    ):
        train(recipe, TinyData(), tmp_path / "run")


def test_a_batch_that_devices_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch 2 cannot be shared by 3"):
        train(tiny_recipe(), TinyData(), tmp_path / "run", devices=3, accelerator="cpu")


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="accelerator nonsense"):
        train(tiny_recipe(), TinyData(), tmp_path / "run", accelerator="nonsense")


def test_without_lightning_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kascade\[train\]'"):
        check_run(tiny_recipe(), tmp_path / "run")


def test_lightning_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny_recipe(training={"steps": 2}), TinyData(), tmp_path / "run")
    assert capfd.readouterr() == ("", "")


def test_training_learns(tmp_path: Path) -> None:
    rates = {"learning_rate": 2e-2, "lambda_learning_rate": 5e-2, "ema": 0.5}
    recipe = tiny_recipe(training={"steps": 12, "validate_every": 4, "batch": 4, **rates})
    train(recipe, TinyData(), tmp_path / "run")
    rows = read_metrics(tmp_path / "run/metrics.csv")
    assert rows[-1]["validation_loss"] < 0.95 * rows[0]["validation_loss"]
    assert rows[-1]["lambda_1"] != pytest.approx(rows[0]["lambda_1"])
    assert all(math.isfinite(value) for row in rows for value in row.values())
    drawn = example(5)
    found = load_model(tmp_path / "run/best.safetensors").model
    with torch.no_grad():
        assert torch.isfinite(found(encoding(drawn), drawn.y).image.abs()).all()
