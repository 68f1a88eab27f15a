"""The whole way: from a typed command to what stands in MLflow."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.config.files import shipped_names
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.losses import LossContract, one_hot, one_per_class, register_loss, registered_losses
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.tracking.reading.runs import History, Run, read_runs
from tests.conftest import FinishedRun

pytestmark = pytest.mark.usefixtures("store")
BATCHES = 20  # of 64 in the 1,293 training digits


def fit(*words: str, epochs: int = 1) -> Run:
    """Train on digits and return the run."""
    # A small probe, unless the test asks for another.
    command = ["fit", "--probe.images=64", *words, "--threads=1", f"--trainer.max_epochs={epochs}"]
    if not any(word.startswith("--data=") for word in words):
        command.append("--data=DigitsDataModule")
    assert main(command) == 0
    return read_runs("lit_lossopt")[-1]


# Where the first steps alone are looked at.
SHORT = ["--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]


def losses(run: Run) -> History:
    return stored_points(run.run_id, "train/loss")


def artifacts(run: Run) -> Path:
    return Path("mlruns") / "lit_lossopt" / run.run_id / "artifacts"


def test_the_loss_and_rate_of_every_step_are_kept_once_and_in_order() -> None:
    run = fit("--config", "sgd_momentum", epochs=3)
    for metric in ("train/loss", "train/lr"):
        np.testing.assert_array_equal(stored_points(run.run_id, metric).steps, np.arange(1, 3 * BATCHES + 1))
    assert np.isfinite(losses(run).values).all()
    assert set(stored_points(run.run_id, "train/lr").values) == {0.01}
    accuracy = stored_points(run.run_id, "val/accuracy")
    np.testing.assert_array_equal(accuracy.steps, [0, 20, 40, 60])
    assert run.metrics["best/val_accuracy"] == accuracy.values[1:].max()
    np.testing.assert_array_equal(stored_points(run.run_id, "time/examples").values, [0, 1280, 2560, 3840])
    np.testing.assert_array_equal(stored_points(run.run_id, "time/epochs").values, [0, 1, 2, 3])
    seconds = stored_points(run.run_id, "time/train_seconds").values
    assert seconds[0] == 0
    assert (np.diff(seconds) > 0).all()


def test_a_run_describes_itself() -> None:
    run = fit("--config", "adam", "--seed_everything=7")
    assert run.name == "adam lr=0.001 CrossEntropyLoss seed=7"
    assert run.status == "FINISHED"
    assert run.tags["lossopt.arm"] == "adam lr=0.001 CrossEntropyLoss"
    assert run.tags["lossopt.seed"] == "7"
    assert run.tags["lossopt.verdict"] == "completed"
    assert run.tags["lossopt.framework"] == "pytorch"
    assert len(run.tags["lossopt.trial_key"]) == 64
    expected = {
        "optimizer": "Adam", "optimizer.eps": "1e-08", "optimizer.amsgrad": "False", "criterion": "CrossEntropyLoss",
        "network": "MiniCNN", "data": "DigitsDataModule", "data.batch_size": "64", "threads": "1", "seed": "7",
    }  # fmt: skip
    assert expected.items() <= run.params.items()
    assert not [name for name in run.params if "class_path" in name or "init_args" in name]
    files = {str(path.relative_to(artifacts(run))) for path in artifacts(run).rglob("*") if path.is_file()}
    # Where this checkout differs from its commit, the run keeps the difference.
    assert files - {"changes.diff"} == {
        "config.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "pictures/confusion_val.png",
        "provenance.json",
    }


def test_the_kept_config_repeats_the_run_to_the_bit() -> None:
    first = fit("--config", "sgd_momentum", "--seed_everything=1", epochs=2)
    assert main(["fit", "--config", str(artifacts(first) / "config.yaml")]) == 0
    second = read_runs("lit_lossopt")[-1]
    assert second.run_id != first.run_id
    np.testing.assert_array_equal(losses(first).values, losses(second).values)
    assert first.tags["lossopt.trial_key"] == second.tags["lossopt.trial_key"]


def test_the_losses_are_those_of_a_hand_written_loop_to_the_bit() -> None:
    run = fit("--config", "sgd_momentum", "--model.optimizer.weight_decay=1e-3", "--seed_everything=5", epochs=2)
    data = DigitsDataModule(seed=5)
    data.setup("fit")
    torch.manual_seed(derive_seed(5, "weights"))
    network = MiniCNN(in_channels=1, image_size=8).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    expected: list[float] = []
    for epoch in range(2):
        for index in data.epoch_order(epoch).split(64)[:BATCHES]:  # type: ignore[no-untyped-call]  # torch's own
            torch.manual_seed(derive_seed(5, "step", len(expected)))
            train = data.images("train")
            batch = train.take(index)
            images, labels = data.on_after_batch_transfer((batch.images, batch.labels), 0)
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            optimizer.step()
            expected.append(loss.item())
    assert losses(run).values.tolist() == expected


def test_arms_that_share_a_seed_start_from_the_same_weights_and_batches() -> None:
    runs = [fit("--config", name, "--trainer.limit_train_batches=2") for name in ("sgd", "adam", "rmsprop")]
    first = {losses(run).values[0] for run in runs}
    start = {stored_points(run.run_id, "val/loss").values[0] for run in runs}
    assert len(first) == len(start) == 1
    other = fit("--config", "sgd", "--seed_everything=1", *SHORT)
    assert losses(other).values[0] not in first


def test_nothing_depends_on_how_often_is_evaluated() -> None:
    often = fit("--config", "adam", "--trainer.val_check_interval=3", "--data.eval_batch_size=7", epochs=2)
    seldom = fit("--config", "adam", "--trainer.check_val_every_n_epoch=2", epochs=2)
    np.testing.assert_array_equal(losses(often).values, losses(seldom).values)
    np.testing.assert_array_equal(
        stored_points(often.run_id, "val/accuracy").steps, [0, 3, 6, 9, 12, 15, 18, 23, 26, 29, 32, 35, 38, 40]
    )
    np.testing.assert_array_equal(stored_points(seldom.run_id, "val/accuracy").steps, [0, 40])


def test_training_that_ends_between_evaluations_is_evaluated_at_its_end() -> None:
    run = fit("--config", "adam", "--trainer.max_steps=25", epochs=-1)
    assert losses(run).steps[-1] == 25
    np.testing.assert_array_equal(stored_points(run.run_id, "val/accuracy").steps, [0, 20, 25])
    assert (artifacts(run) / "checkpoints" / "last.ckpt").is_file()


def test_a_step_is_an_update_where_gradients_are_accumulated() -> None:
    whole = fit("--config", "sgd", "--data.batch_size=64", "--model.network.dropout=0")
    parts = fit("--config", "sgd", "--data.batch_size=16", "--trainer.accumulate_grad_batches=4",
                "--model.network.dropout=0", "--trainer.max_steps=20")  # fmt: skip
    assert len(losses(parts).steps) == len(losses(whole).steps) == 20
    np.testing.assert_allclose(losses(parts).values, losses(whole).values, rtol=1e-4)


def test_a_schedule_is_seen_in_the_rates() -> None:
    words = ["--config", "sgd", "--model.lr_scheduler=ExponentialLR", "--model.lr_scheduler.gamma=0.5"]
    epochs = stored_points(fit(*words, epochs=2).run_id, "train/lr").values
    np.testing.assert_allclose(epochs, [0.01] * BATCHES + [0.005] * BATCHES)
    steps = stored_points(fit(*words, "--model.lr_scheduler_interval=step").run_id, "train/lr").values
    np.testing.assert_allclose(steps, [0.01 * 0.5**step for step in range(BATCHES)])


@pytest.mark.parametrize("criterion", [name for name in registered_losses() if not name.startswith("_")])
def test_each_loss_learns_ten_and_two_classes(criterion: str) -> None:
    words = ["--config", "adam", f"--model.criterion={criterion}", "--model.optimizer.lr=3e-3"]
    ten = fit(*words, "--probe.images=0", epochs=8)
    # The absolute error is least at the median, which is 0 for every class that is rarer than half: it collapses.
    assert ten.metrics["val/accuracy"] > (0.05 if criterion == "L1Loss" else 0.8)
    two = fit(*words, "--probe.images=0", "--data.classes=[3,8]", epochs=12)
    assert two.metrics["val/accuracy"] > 0.9
    judged = {"val/nll", "val/brier", "val/ece"}
    implied = registered_losses()[criterion].probabilities is not None
    for run in (ten, two):
        assert judged & set(run.metrics) == (judged if implied else set())


def test_binary_cross_entropy_needs_one_logit_for_two_classes() -> None:
    run = fit("--config", "binary_bce", "--data.classes=[3,8]", *SHORT)
    state = torch.load(artifacts(run) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["network.linear2.weight"].shape == (1, 128)


OVERLAYS = ("digits", "image_folder", "gpu")


@pytest.mark.parametrize("name", [name for name in shipped_names() if name not in OVERLAYS])
def test_every_shipped_config_trains(name: str) -> None:
    needed = {"binary_bce": ["--data.classes=[3,8]"], "finetune_resnet18": ["--model.network.weights=null"]}
    extra = needed.get(name, [])
    command = ["fit", "--config", name, "--config", "digits", *extra, "--trainer.max_epochs=2", "--threads=1"]
    assert main(command) == 0
    history = losses(read_runs("lit_lossopt")[-1])
    assert history.values[-3:].mean() < history.values[:3].mean()


def test_the_image_folder_overlay_trains_tests_and_predicts(
    image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--config", "image_folder", f"--data.folder={image_folder}", "--data.batch_size=8", "--threads=1"]
    assert main(["fit", "--config", "adam", *data, "--trainer.max_epochs=6"]) == 0
    (run,) = read_runs("lit_lossopt")
    checkpoint = f"--ckpt_path={artifacts(run) / 'checkpoints' / 'best.ckpt'}"
    capsys.readouterr()
    assert main(["validate", *data, checkpoint]) == 0
    assert f"val accuracy {run.metrics['best/val_accuracy']:.4f}" in capsys.readouterr().out
    assert main(["test", *data, checkpoint]) == 0
    shown = capsys.readouterr().out
    (tested,) = read_runs("lit_lossopt")
    assert tested.status == "FINISHED"
    assert tested.metrics["test/accuracy"] > 0.9
    assert f"test accuracy {tested.metrics['test/accuracy']:.4f}" in shown
    assert (artifacts(run) / "pictures" / "confusion_test.png").is_file()
    assert main(["predict", *data, checkpoint, "--predictions.path=out/table.csv"]) == 0
    with Path("out/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    right = [row for row in rows if Path(row["file"]).parent.name == row["class"]]
    assert len(right) / 24 == pytest.approx(tested.metrics["test/accuracy"])
    for row in rows:
        shares = {name: float(row[f"p({name})"]) for name in ("cat", "dog", "frog")}
        assert math.isclose(sum(shares.values()), 1, abs_tol=1e-4)
        assert max(shares, key=lambda name: shares[name]) == row["class"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: see the test that uses it")
def test_without_a_gpu_the_gpu_overlay_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "gpu"]) == 2
    assert "torch finds no GPU here" in capsys.readouterr().err
    assert read_runs_or_none() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_overlay_trains_on_a_gpu() -> None:
    run = fit("--config", "adam", "--config", "gpu", epochs=12)
    assert run.metrics["val/accuracy"] > 0.8


def read_runs_or_none() -> list[Run] | None:
    from lit_lossopt.core.errors import UserError

    try:
        return read_runs("lit_lossopt")
    except UserError:
        return None


PLATEAU = "--model.lr_scheduler=ReduceLROnPlateau --model.lr_scheduler.monitor=val/loss"
TYPED_WRONG = [
    ("--model.optimizer.lr=abc", "model.optimizer.lr=abc from the command line: expected float"),
    ("--model.optimizer.lr=-1", "Invalid learning rate: -1"),
    ("--model.optimizer.betas=[1,2,3]", "model.optimizer.betas=[1, 2, 3] from the command line: expected a tuple"),
    ("--data.batch_size=x", "data.batch_size=x from the command line: expected int"),
    ("--data.batch_size=0", "data.batch_size=0"),
    ("--data.classes=[cat,dog]", "no class 'cat'"),
    ("--trainer.max_epochs=abc", "trainer.max_epochs=abc from the command line: expected int"),
    ("--trainer.max_epochs=0", "nothing to train"),
    ("--trainer.accelerator=gpu2", "invalid accelerator name"),
    ("--trainer.callbacks=os.system", "importing os is not allowed to a config"),
    ("--seed_everything=true", "seed_everything=true from the command line: expected a whole number"),
    ("--seed_everything=-1", "seed_everything=-1 from the command line: must be >=0"),
    ("--threads=0", "threads=0 from the command line: must be >0"),
    ("--threads=100000", "threads=100000: this machine has"),
    ("--trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: must be at least 1"),
    ("--trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch=0: must be at least 1"),
    ("--trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: must be above 0"),
    ("--trainer.accelerator=cpu --trainer.precision=16-mixed", "ask for --trainer.precision=bf16-mixed"),
    ("--model.criterion=CTCLoss", "CTCLoss: no contract says"),
    ("--model.lr_warmup=3 --model.lr_scheduler=ReduceLROnPlateau --model.lr_scheduler.monitor=val/loss", "lr_warmup=3"),
    ("--model.network.dropout=2", "dropout=2.0: must be in [0, 1)"),
    ("--model.network=torch.nn.Nope", "has no attribute 'Nope'"),
    ("--model.lr_scheduler=StepLR", "the following arguments are required: step_size"),
    ("--model.lr_scheduler_interval=epochs", "expected one of 'epoch', 'step'"),
    ("--data=ImageFolderDataModule --data.folder=nowhere", "there is no folder nowhere"),
    ("--data=CIFAR10DataModule --data.download=false", "CIFAR-10 is not in data and could not be fetched"),
    ("--data.batch_size=5000", "only 1293 training images"),
    ("--data.val_fraction=0.001", "data.val_fraction=0.001: 1437 training images of 10 classes cannot be split"),
    ("--model.decay_biases=maybe", "model.decay_biases=maybe from the command line: expected bool"),
    ("--trainer.logger=CSVLogger", "trainer.logger=CSVLogger from the command line"),
    ("--trainer.logger+=CSVLogger", "CSVLogger needs save_dir; add --trainer.logger.save_dir=…"),
    ("--trainer.callbacks+=EarlyStopping", "EarlyStopping needs monitor; add --trainer.callbacks.monitor=…"),
    (
        "--trainer.callbacks+=EarlyStop",
        "callbacks=EarlyStop from the command line: no such class (did you mean 'EarlySt",
    ),
    ("--trainer.logger+=CSVLoger", "no such class (did you mean 'CSVLogger'?)"),
    (
        "--trainer.callbacks+=Timer --trainer.callbacks.verbose=x",
        "trainer.callbacks.verbose=x from the command line: exp",
    ),
    ("--trainer.val_check_interval=1000", "an epoch has 20 steps"),
    ("--trainer.limit_train_batches=0", "nothing to train"),
    ("--trainer.num_nodes=2", "start several machines with torchrun"),
    ("--model.criterion.reduction=none", "reduction=none: a loss here is a mean"),
    ("--model.criterion.reduction=sum", "reduction=sum: a loss here is a mean"),
    ("--model.criterion.weight=[1,2]", "fails on a first batch"),
    ("--model.optimizer=SparseAdam", "SparseAdam updates only sparse gradients"),
    ("--model.lr_scheduler=StepLR --model.lr_scheduler.step_size=0", "model.lr_scheduler=StepLR: "),
    ("--model.network=torchvision.models.AlexNet", "model.network=AlexNet fails on a first batch"),
    ("--model.network=torch.nn.Flatten", "outputs [144, 64] for 144 images"),
    (
        "--model.network=tests.training.test_fit._Narrow --allow-import=tests",
        "gives outputs [144, 3] for 144 images; CrossEnt",
    ),
    ("--model.optimizer=LBFGS --trainer.accumulate_grad_batches=4", "LBFGS looks at a step's batch several times"),
    ("--model.optimizer=Muon --model.optimizer.lr=-1", "Learning rate should be >= 0"),
    ("--model.optimizer=Muon --model.optimizer.adjust_lr_fn=foo", "foo is not supported"),
    ("--model.optimizer=torch.optim.Muon", "Muon only supports 2D parameters"),
    ("--model.optimizer=AdaHessian", "model.optimizer=AdaHessian: "),
    ("--model.optimizer=LOMO", "model.optimizer"),
    ("--model.criterion.ignore_index=3", "that class would never be trained"),
    (
        "--model.lr_scheduler=ReduceLROnPlateau --model.lr_scheduler.monitor=val/los",
        "there are: val/loss, val/accuracy",
    ),
    (f"{PLATEAU} --model.lr_scheduler_interval=step", "needs an evaluation at each of its steps"),
    (
        "--model.criterion=HingeLoss --model.lr_scheduler=ReduceLROnPlateau --model.lr_scheduler.monitor=val/nll",
        "there are: val/loss, val/accuracy",
    ),
]


@pytest.mark.parametrize("before", [[], ["--config", "adam", "--config", "digits"]], ids=["alone", "after configs"])
@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_what_only_the_libraries_can_judge_is_one_line_too(
    typed: str, message: str, before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *before, *typed.split()]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert read_runs_or_none() is None


class _Breaks(nn.Module):
    """A network that works until it does not."""

    raised: BaseException = RuntimeError("the third step breaks")

    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels * image_size**2, num_outputs)
        self.steps = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.steps == 3:
            raise self.raised
        outputs: torch.Tensor = self.linear(images.flatten(1))
        return outputs


def test_a_run_that_breaks_says_failed_and_keeps_its_steps() -> None:
    # It counts its calls, and so no diagnostic may make one more.
    words = ["--model.network=tests.training.test_fit._Breaks", "--allow-import=tests", "--diagnostics=off"]
    with pytest.raises(RuntimeError, match="the third step breaks"):
        fit(*words)
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("FAILED", "failed")
    np.testing.assert_array_equal(losses(run).steps, [1, 2])


def test_an_interrupted_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Breaks, "raised", KeyboardInterrupt())
    command = ["fit", "--model.network=tests.training.test_fit._Breaks", "--allow-import=tests", "--diagnostics=off"]
    assert main(command) == 130
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    np.testing.assert_array_equal(losses(run).steps, [1, 2])


def test_any_network_can_take_minicnns_place() -> None:
    run = fit("--model.network=tests.training.test_fit._Linear", "--allow-import=tests", epochs=5)
    assert run.params["network"] == "_Linear"
    assert run.metrics["val/accuracy"] > 0.5


class _Cubed(nn.Module):
    """A loss of another package: one that nobody here knows."""

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).abs().pow(3).mean()


class _CubedAndRegistered(_Cubed):
    pass


register_loss(_CubedAndRegistered, LossContract(one_hot, one_per_class, probabilities=None))


def test_a_loss_of_another_package_works_after_one_registration(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--allow-import=tests", "--config", "adam", "--model.optimizer.lr=3e-3"]
    run = fit("--model.criterion=tests.training.test_fit._CubedAndRegistered", *words, epochs=6)
    assert run.metrics["val/accuracy"] > 0.7
    assert "val/nll" not in run.metrics
    capsys.readouterr()
    assert main(["fit", "--model.criterion=tests.training.test_fit._Cubed", *words]) == 2
    assert "register_loss(_Cubed" in capsys.readouterr().err


class _Narrow(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 3))


class _Linear(_Breaks):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.linear(images.flatten(1))
        return outputs


def test_weights_that_do_not_fit_are_one_line(digits_run: FinishedRun, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = f"--ckpt_path={digits_run.checkpoints / 'last.ckpt'}"
    assert main(["test", "--model.network.hidden=7", checkpoint]) == 2
    assert "the weights do not fit this network" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("content", ["garbage", "empty", "list", "plain dict"])
def test_what_is_no_checkpoint_is_one_line(command: str, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("broken.ckpt")
    if content in ("garbage", "empty"):
        path.write_bytes(b"not a checkpoint" if content == "garbage" else b"")
    else:
        torch.save([1] if content == "list" else {"a": torch.zeros(1)}, path)
    assert main([command, "--ckpt_path=broken.ckpt"]) == 2
    shown = capsys.readouterr().err
    assert "not a whole checkpoint" in shown or "not the checkpoint of a training run" in shown
    assert shown.count("\n") == 1
    assert read_runs_or_none() is None


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> str:
    """Return the word for the checkpoint of a short run on two classes, with a loss and a seed of its own."""
    home = tmp_path_factory.mktemp("two_classes")
    shutil.copy(empty_store, home / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        fit("--model.criterion=MSELoss", "--seed_everything=7", "--data.classes=[3,8]", *SHORT)
    (checkpoint,) = home.rglob("last.ckpt")
    return f"--ckpt_path={checkpoint}"


def test_weights_are_not_used_for_what_they_were_not_trained_for(
    two_classes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, typed, message in (
        ("predict", "--data.classes=[3,8]", "trained with MSELoss, not CrossEntropyLoss"),
        ("predict", "--model.criterion=MSELoss --data.classes=[8,3]", "trained on the classes 3, 8, not on 8, 3"),
        ("validate", "--model.criterion=MSELoss --data.classes=[3,8]", "add --seed_everything=7"),
        ("fit", "--model.criterion=MSELoss --data.classes=[3,8]", "add --seed_everything=7"),
    ):
        assert main([command, two_classes, *typed.split()]) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert shown.count("\n") == 1


def test_a_run_is_tested_with_its_own_normalisation_and_config() -> None:
    run = fit("--config", "adam", "--seed_everything=3")
    config = str(artifacts(run) / "config.yaml")
    checkpoint = artifacts(run) / "checkpoints" / "last.ckpt"
    assert main(["test", "--config", config, f"--ckpt_path={checkpoint}"]) == 0
    (tested,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored_points(tested.run_id, "test/loss").steps, [BATCHES])
    state = torch.load(checkpoint, weights_only=True)
    data = DigitsDataModule(seed=3)
    data.setup("fit")
    data.setup("test")
    network = MiniCNN(in_channels=1, image_size=8).eval()
    weights = {name: value for name, value in state["state_dict"].items() if name.startswith("network.")}
    network.load_state_dict({name.removeprefix("network."): value for name, value in weights.items()})
    for split, name in (("val", "val/loss"), ("test", "test/loss")):
        images = data.images(split)  # type: ignore[arg-type]  # a table of splits
        batch, labels = data.on_after_batch_transfer((images.images, images.labels), 0)
        assert tested.metrics[name] == pytest.approx(
            nn.functional.cross_entropy(network(batch), labels).item(), rel=1e-5
        )


@pytest.mark.parametrize("size", [1, 7, 144])
def test_evaluated_values_do_not_depend_on_the_evaluations_batch_size(size: int) -> None:
    weights = f"--model.criterion.weight=[{','.join(str(i + 1) for i in range(10))}]"
    words = ["--config", "adam", weights, "--trainer.limit_train_batches=2"]
    one = fit(*words)
    other = fit(*words, f"--data.eval_batch_size={size}")
    assert other.metrics["val/loss"] == pytest.approx(one.metrics["val/loss"], rel=1e-5)
    assert other.tags["lossopt.trial_key"] == one.tags["lossopt.trial_key"]


def test_predictions_keep_to_the_classes_and_may_be_fewer(two_classes: str) -> None:
    words = [two_classes, "--data.classes=[3,8]", "--model.criterion=MSELoss"]
    for extra, count in (([], 72), (["--data.eval_batch_size=10", "--trainer.limit_predict_batches=2"], 20)):
        assert main(["predict", *words, *extra]) == 0
        with Path("predictions.csv").open() as file:
            assert len(list(csv.reader(file))) == count + 1


def test_predictions_that_cannot_be_written_are_refused_first(
    digits_run: FinishedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = f"--ckpt_path={digits_run.checkpoints / 'last.ckpt'}"
    assert main(["predict", checkpoint, "--predictions.path=."]) == 2
    assert "predictions.path=.: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("postgresql://me:secret@host/db", "holds a name or password"),
        ("https://me:secret@host", "holds a name or password"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////proc/nowhere/mlflow.db", "cannot be written there"),
        ("nonsense://x", "cannot start a run"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(
    uri: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["fit", "--trainer.max_epochs=1"]) == 2
    shown = capsys.readouterr().err
    assert message in shown.splitlines()[-1]
    assert "secret" not in shown


def test_no_run_begins_where_artifacts_cannot_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mlruns").write_text("a file where the folder belongs")
    assert main(["fit", "--trainer.max_epochs=1"]) == 2
    assert "cannot be written there" in capsys.readouterr().err.splitlines()[-1]
    assert read_runs_or_none() is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val_loss"], "(did you mean 'val/loss'?)"),
        (["--trainer.callbacks=ModelCheckpoint", "--trainer.callbacks.monitor=acc"], "ModelCheckpoint.monitor=acc"),
        (
            ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/nll", "--model.criterion=MSELoss"],
            "",
        ),
        (
            ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/nll", "--model.criterion=L1Loss"],
            "there are: val/loss, val/accuracy, best/val_accuracy",
        ),
        (
            [*PLATEAU.split(), "--trainer.limit_val_batches=0"],
            "there are none (trainer.limit_val_batches=0)",
        ),
    ],
)
def test_a_metric_that_is_not_measured_is_refused_before_a_run_exists(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]) == (2 if message else 0)
    shown = capsys.readouterr().err
    assert message in shown
    assert not message or shown.count("\n") == 1
    assert bool(read_runs_or_none()) is not bool(message)


@pytest.mark.parametrize("off", ["logger", "enable_checkpointing", "enable_progress_bar"])
def test_parts_of_the_trainer_can_be_switched_off(off: str) -> None:
    assert main(["fit", f"--trainer.{off}=false", "--trainer.max_epochs=1", *SHORT]) == 0


def test_another_experiment_name_and_run_name() -> None:
    names = ["--tracking.experiment=mine", "--tracking.run_name=first"]
    assert main(["fit", *names, "--trainer.max_epochs=1", *SHORT]) == 0
    (run,) = read_runs("mine")
    assert run.name == "first"


def test_print_config_prints_what_would_run_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", "sgd_momentum", "--config", "adamw", "--print_config"])
    assert ended.value.code == 0
    printed: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["optimizer"]["class_path"] == "torch.optim.AdamW"
    assert "momentum" not in printed["model"]["optimizer"]["init_args"]
    assert read_runs_or_none() is None


def test_fast_dev_run_leaves_no_run() -> None:
    assert main(["fit", "--trainer.fast_dev_run=true"]) == 0
    assert read_runs_or_none() is None


def test_lbfgs_makes_one_step_a_batch_and_logs_the_loss_before_it() -> None:
    words = ["--model.optimizer=LBFGS", "--model.optimizer.lr=0.1", "--model.optimizer.max_iter=3"]
    run = fit(*words)
    np.testing.assert_array_equal(losses(run).steps, np.arange(1, BATCHES + 1))
    assert losses(run).values[0] == losses(fit("--config", "sgd", *SHORT)).values[0]
    assert run.metrics["val/accuracy"] > 0.5


def test_schedule_free_is_evaluated_at_its_average_and_checkpointed_so() -> None:
    run = fit("--config", "schedule_free", epochs=4)
    checkpoint = artifacts(run) / "checkpoints" / "last.ckpt"
    command = ["--config", str(artifacts(run) / "config.yaml"), f"--ckpt_path={checkpoint}"]
    assert main(["test", *command]) == 0
    (tested,) = read_runs("lit_lossopt")
    assert tested.metrics["test/accuracy"] == pytest.approx(run.metrics["val/accuracy"], abs=0.08)
    states = torch.load(checkpoint, weights_only=True)["optimizer_states"][0]
    assert not any(group["train_mode"] for group in states["param_groups"])


def test_gradients_are_clipped() -> None:
    words = ["--config", "sgd", "--model.network.dropout=0", "--model.optimizer.lr=1.0"]
    free = losses(fit(*words, "--trainer.limit_train_batches=10")).values
    clipped = losses(fit(*words, "--trainer.gradient_clip_val=1e-6", "--trainer.limit_train_batches=10")).values
    assert free[0] == clipped[0]
    assert np.ptp(clipped) < 0.1 < np.ptp(free)


def test_a_warmup_is_seen_in_the_rates() -> None:
    run = fit("--config", "warmup_cosine", "--model.lr_warmup=4", "--model.lr_scheduler.T_max=16")
    expected = [0.05 * (k + 1) / 5 for k in range(4)] + [0.025 * (1 + math.cos(math.pi * k / 16)) for k in range(16)]
    np.testing.assert_allclose(stored_points(run.run_id, "train/lr").values, expected, atol=1e-12)


def test_rates_of_groups_that_differ_are_kept_apart() -> None:
    run = fit("--config", "muon", *SHORT)
    assert set(stored_points(run.run_id, "train/lr/muon").values) == {0.02}
    assert set(stored_points(run.run_id, "train/lr/adamw").values) == {0.001}


@pytest.mark.parametrize(
    "criterion", ["CrossEntropyLoss", "NLLLoss", "KLDivLoss", "SquentropyLoss", "SquaredHingeLoss"]
)
@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_half_precision_trains(criterion: str, precision: str) -> None:
    run = fit(f"--model.criterion={criterion}", f"--trainer.precision={precision}", epochs=2)
    assert losses(run).values[-1] < losses(run).values[0]


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ("BCEWithLogitsLoss", ["--model.criterion.pos_weight=[1,2,3,4,5,6,7,8,9,10]"]),
        ("BCEWithLogitsLoss", ["--model.criterion.pos_weight=[3]", "--data.classes=[3,8]"]),
        ("CrossEntropyLoss", ["--model.criterion.weight=[1,2,3,4,5,6,7,8,9,10]"]),
    ],
)
def test_weights_are_given_as_lists(criterion: str, words: list[str]) -> None:
    classes = [word for word in words if word.startswith("--data")]
    plain = fit(f"--model.criterion={criterion}", *classes, *SHORT)
    weighted = fit(f"--model.criterion={criterion}", *words, *SHORT)
    assert losses(weighted).values[0] != losses(plain).values[0]
    assert f"{words[0].partition('=')[2].replace(',', '.0, ').replace(']', '.0]')}" in str(weighted.params)
