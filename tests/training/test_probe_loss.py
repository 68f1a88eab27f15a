"""The probe loss: equal to a slow twin, once a step, and without a trace in what is trained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from pytorch_optimizer import ScheduleFreeAdamW
from torch import Tensor, nn

from benchmarks.killing.attempts import same
from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.tracking.reading.runs import History, Run, read_runs
from lit_lossopt.training.callbacks.optimizer_phases import OptimizerPhases
from lit_lossopt.training.callbacks.probe_loss import ProbeLoss
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.callbacks.training_clock import TrainingClock
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.probe_schedule import probe_steps

pytestmark = [
    pytest.mark.usefixtures("store"),
    pytest.mark.filterwarnings("ignore:Found 1 module.* in eval mode at the start of training"),
]
DIGITS = ["--config=digits", "--threads=1"]
MINE = "--model.network=tests.training.test_probe_loss."
ALLOWED = "--allow-import=tests"
# Of 64 in the 1,293 training digits.
BATCHES = 20
# LBFGS takes its curvature from gradients of earlier steps. Where each is of another batch, a step may leap anywhere,
# and rounding decides whether training diverges. On all images, with a line search, no step raises its loss.
LBFGS = [
    "--model.optimizer=LBFGS", "--model.optimizer.line_search_fn=strong_wolfe", "--model.optimizer.max_iter=4",
    "--data.batch_size=1293",
]  # fmt: skip


class Norms(nn.Module):
    """A network with everything that an evaluation must leave alone: norms, dropout, a part held still by hand."""

    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.still = nn.BatchNorm2d(8).eval()
        self.head = nn.Linear(8 * (image_size - 2) ** 2, num_outputs)

    def train(self, mode: bool = True) -> Norms:
        """Keep one part in evaluation mode."""
        super().train(mode)
        self.still.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        outputs: Tensor = self.head(self.still(self.body(images)).flatten(1))
        return outputs


class Drawing(MiniCNN):
    """A network that draws random numbers in evaluation too, without changing what it returns."""

    def forward(self, images: Tensor) -> Tensor:
        """Draw, and return logits."""
        torch.rand(3)
        return super().forward(images)


class Noisy(Norms):
    """A network whose outputs are random in evaluation too."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits and noise."""
        outputs = super().forward(images)
        return outputs + torch.randn(outputs.shape)


def fit(*words: str, epochs: int = 1) -> Run:
    chosen = [] if any("max_epochs" in word for word in words) else [f"--trainer.max_epochs={epochs}"]
    assert main(["fit", *words, *DIGITS, ALLOWED, *chosen]) == 0
    return read_runs("lit_lossopt")[-1]


def probed(run: Run) -> History:
    return stored_points(run.run_id, "train/probe_loss")


def last_checkpoint(run: Run) -> dict[str, Any]:
    path = Path("mlruns") / "lit_lossopt" / run.run_id / "artifacts" / "checkpoints" / "last.ckpt"
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def examples(seed: int, count: int = 256) -> tuple[Tensor, Tensor]:
    """Return the probe's images, normalised with the numbers of all training images, and their labels."""
    data = DigitsDataModule(seed=seed)
    data.setup("fit")
    train = data.images("train")
    generator = torch.Generator().manual_seed(derive_seed(seed, "probe"))
    index = sorted(torch.randperm(len(train), generator=generator)[:count].tolist())
    pixels = train.images.double()
    images = torch.stack([pixels[i] for i in index])
    return ((images - pixels.mean()) / pixels.std(correction=0)).float(), train.labels[index]


def slow_loss(network: nn.Module, images: Tensor, labels: Tensor, criterion: nn.Module) -> float:
    """Return the loss of one image after another's outputs, by a network in evaluation mode."""
    network.eval()
    with torch.no_grad():
        outputs = torch.cat([network(image.unsqueeze(0)) for image in images])
        loss = float(criterion(outputs, labels))
    network.train()
    return loss


Maker = Callable[[Any], torch.optim.Optimizer]


@pytest.mark.parametrize(
    ("words", "make"),
    [
        (["--config=sgd_momentum"], functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)),
        (["--config=schedule_free"], functools.partial(ScheduleFreeAdamW, lr=2.5e-3)),
    ],
    ids=["SGD", "Schedule-Free"],
)
def test_each_value_is_that_of_a_hand_written_loop_with_the_weights_that_it_trains(
    words: list[str], make: Maker
) -> None:
    run = fit(*words, "--seed_everything=5", "--trainer.limit_train_batches=8", epochs=2)
    data = DigitsDataModule(seed=5)
    data.setup("fit")
    torch.manual_seed(derive_seed(5, "weights"))
    network = MiniCNN(in_channels=1, image_size=8).to(memory_format=torch.channels_last)
    optimizer = make(network.parameters())
    images, labels = examples(5)
    cross_entropy = nn.CrossEntropyLoss()
    expected = [slow_loss(network, images, labels, cross_entropy)]
    for epoch in range(2):
        for index in data.epoch_order(epoch).split(64)[:8]:  # type: ignore[no-untyped-call]  # torch's own
            torch.manual_seed(derive_seed(5, "step", len(expected) - 1))
            batch = data.images("train").take(index)
            values, own = data.on_after_batch_transfer((batch.images, batch.labels), 0)
            optimizer.zero_grad()
            cross_entropy(network(values), own).backward()
            optimizer.step()
            expected.append(slow_loss(network, images, labels, cross_entropy))
    np.testing.assert_array_equal(probed(run).steps, np.arange(2 * 8 + 1))
    np.testing.assert_allclose(probed(run).values, expected, rtol=1e-4)


WEIGHTS = [float(i + 1) for i in range(10)]


@pytest.mark.parametrize(
    ("words", "criterion"),
    [
        ([f"--model.criterion.weight={WEIGHTS}"], nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS))),
        (["--data.mixing=CutMix", "--data.augmentation=[PadCrop]"], nn.CrossEntropyLoss()),
        (["--data.batch_size=100", "--trainer.accumulate_grad_batches=3"], nn.CrossEntropyLoss()),
        ([*LBFGS, "--model.network.dropout=0", "--trainer.max_epochs=8"], nn.CrossEntropyLoss()),
        (["--model.frozen_epochs=1"], nn.CrossEntropyLoss()),
        (["--config=plateau", "--model.lr_scheduler.patience=0"], nn.CrossEntropyLoss()),
        (["--trainer.overfit_batches=4", "--trainer.max_epochs=3"], nn.CrossEntropyLoss()),
        (["--trainer.limit_train_batches=7"], nn.CrossEntropyLoss()),
        (["--trainer.precision=64-true"], nn.CrossEntropyLoss()),
    ],
)
def test_the_last_value_is_that_of_the_last_checkpoint(words: list[str], criterion: nn.Module) -> None:
    run = fit("--config=adam", *words)
    state = last_checkpoint(run)
    assert probed(run).steps[-1] == state["global_step"] == stored_points(run.run_id, "train/loss").steps[-1]
    network = MiniCNN(in_channels=1, image_size=8).to(state["state_dict"]["network.linear2.weight"].dtype)
    weights = {name: value for name, value in state["state_dict"].items() if name.startswith("network.")}
    network.load_state_dict({name.removeprefix("network."): value for name, value in weights.items()})
    images, labels = examples(0)
    images = images.to(network.linear2.weight.dtype)
    assert probed(run).values[-1] == pytest.approx(slow_loss(network, images, labels, criterion), rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_the_trainers_precision_is_that_of_the_probe(precision: str) -> None:
    # All training images in a batch, and all in the probe: the loss of step 1 is that of the probe at step 0.
    words = ["--data.batch_size=1293", "--probe.images=1293", "--model.network.dropout=0", "--config=adam"]
    run, exact = fit(*words, f"--trainer.precision={precision}"), fit(*words)
    first = stored_points(run.run_id, "train/loss").values[0]
    assert probed(run).values[0] == pytest.approx(first, rel=1e-5)
    assert probed(run).values[0] != probed(exact).values[0]


@pytest.mark.parametrize(
    "words",
    [
        [f"{MINE}Norms"],
        [f"{MINE}Drawing"],
        [f"{MINE}Noisy"],
        [f"{MINE}Norms", "--model.frozen_epochs=1", "--trainer.precision=bf16-mixed"],
        ["--data.augmentation=[PadCrop,{class_path: RandomRotation, degrees: 10}]", "--data.mixing=MixUp"],
        [f"{MINE}Norms", *LBFGS, "--trainer.max_epochs=6"],
        [f"{MINE}Norms", "--trainer.accumulate_grad_batches=3", "--trainer.gradient_clip_val=0.5"],
        [f"{MINE}Norms", "--config=schedule_free", "--trainer.val_check_interval=7"],
        ["--config=plateau", "--model.optimizer.lr=0.5", "--model.lr_scheduler.patience=0"],
    ],
)
def test_what_is_trained_is_the_same_to_the_bit_without_it(words: list[str]) -> None:
    found = [fit("--config=adam", *words, f"--probe.images={images}", epochs=2) for images in (256, 0)]
    with_it, without = found
    assert len(probed(with_it).steps) == last_checkpoint(with_it)["global_step"] + 1
    assert "train/probe_loss" not in without.metrics
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "lossopt_state"):
        assert same(last_checkpoint(with_it)[part], last_checkpoint(without)[part]), part
    for name in set(without.metrics) - {"time/train_seconds"}:
        one, other = stored_points(with_it.run_id, name), stored_points(without.run_id, name)
        np.testing.assert_array_equal(one.steps, other.steps)
        np.testing.assert_array_equal(one.values, other.values)
    assert with_it.tags["lossopt.trial_key"] == without.tags["lossopt.trial_key"]


class Watch(pl.Callback):
    """Notes random state, modes and gradients of each batch's start and end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def note(self, module: pl.LightningModule) -> None:
        """Note them now."""
        modes = {name: part.training for name, part in module.named_modules()}
        state = {name: value.clone() for name, value in module.state_dict().items()}
        gradients = {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}
        self.seen.append((torch.get_rng_state(), modes, state, gradients))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note."""
        self.note(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note."""
        self.note(pl_module)


class Kept(pl.loggers.Logger):
    """Keeps what is logged in a dictionary."""

    name = version = "kept"

    def __init__(self) -> None:
        super().__init__()
        self.points: list[tuple[str, int, float]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Keep."""
        self.points += [(name, step or 0, value) for name, value in metrics.items()]

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""

    def probe(self) -> list[float]:
        """Return the values of the probe."""
        return [value for name, _, value in self.points if name == "train/probe_loss"]


def through_trainer(
    *callbacks: pl.Callback, network: Any = Norms, draws: int = 0, images: int = 256, batch_size: int = 64
) -> Kept:
    """Train an epoch of digits; ``draws`` moves the global random stream on before it."""
    values, probe, logger = StepValues(), ProbeLoss(images), Kept()
    probe.join(values)
    before, after = callbacks[: len(callbacks) // 2], callbacks[len(callbacks) // 2 :]
    module = LossOptModule(functools.partial(network), in_channels=1, image_size=8)
    torch.rand(draws)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=logger, num_sanity_val_steps=0, limit_val_batches=0,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, log_every_n_steps=1,
        callbacks=[OptimizerPhases(), *before, probe, *after, values, TrainingClock(values)],
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsDataModule(batch_size=batch_size))
    return logger


no_workers = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@no_workers
@pytest.mark.parametrize("network", [Norms, Noisy])
def test_random_streams_modes_weights_and_gradients_are_as_they_were(network: type[nn.Module]) -> None:
    before, after = Watch(), Watch()
    logger = through_trainer(before, after, network=network)
    assert len(logger.probe()) == BATCHES + 1
    assert len(before.seen) == 2 * BATCHES
    assert same(before.seen, after.seen)
    assert not before.seen[-1][1]["network.still"]
    assert before.seen[-1][1]["network.body"]


@no_workers
@pytest.mark.parametrize("network", [Norms, Noisy])
def test_values_do_not_depend_on_the_global_random_stream(network: type[nn.Module]) -> None:
    assert through_trainer(network=network).probe() == through_trainer(network=network, draws=1000).probe()


class Counted(MiniCNN):
    """A network that keeps the sizes of the batches that it evaluates."""

    sizes: ClassVar[set[int]] = set()

    def forward(self, images: Tensor) -> Tensor:
        """Count, and return logits."""
        if not self.training:
            Counted.sizes.add(len(images))
        return super().forward(images)


@no_workers
@pytest.mark.parametrize(("batch_size", "images", "sizes"), [(64, 256, {64}), (100, 256, {85, 86}), (300, 256, {256})])
def test_no_more_images_at_once_than_in_a_training_batch(batch_size: int, images: int, sizes: set[int]) -> None:
    Counted.sizes.clear()
    through_trainer(network=Counted, batch_size=batch_size, images=images)
    # The module itself tries the first batch.
    assert Counted.sizes == sizes | {batch_size}


def test_all_training_images_where_there_are_fewer() -> None:
    run = fit("--config=adam", "--probe.images=100000", "--data.classes=[0,1]")
    assert len(probed(run).steps) == len(stored_points(run.run_id, "train/loss").steps) + 1


def test_arms_of_a_seed_share_the_images_and_seeds_do_not() -> None:
    first = [probed(fit(f"--config={name}")).values[0] for name in ("sgd", "adam")]
    assert first[0] == first[1]
    assert probed(fit("--config=sgd", "--seed_everything=1")).values[0] != first[0]


class Sleepy(MiniCNN):
    """A network that takes its time to evaluate."""

    slept = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Wait, and return logits."""
        if not self.training:
            started = time.monotonic()
            time.sleep(0.01)
            Sleepy.slept += time.monotonic() - started
        return super().forward(images)


class Stopped(pl.Callback):
    """Keeps the clock's seconds, and those that pass in all between the first batch and the end."""

    def __init__(self) -> None:
        self.seconds, self.whole, self._since = -1.0, 0.0, 0.0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start."""
        self._since = time.monotonic()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        self.whole = time.monotonic() - self._since
        self.seconds = next(one.seconds for one in trainer.callbacks if isinstance(one, TrainingClock))


@no_workers
def test_its_time_is_not_training_time() -> None:
    Sleepy.slept, stopped = 0.0, Stopped()
    through_trainer(stopped, network=Sleepy)
    assert 0 < stopped.seconds <= stopped.whole - Sleepy.slept


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.max_epochs=5"],
        ["--trainer.max_epochs=-1", "--trainer.max_steps=83"],
        ["--trainer.max_epochs=9", "--trainer.max_steps=83", "--trainer.limit_train_batches=0.5"],
        ["--trainer.max_epochs=14", "--trainer.accumulate_grad_batches=3"],
        ["--trainer.callbacks=lightning.pytorch.callbacks.GradientAccumulationScheduler",
         "--trainer.callbacks.scheduling={0: 1, 2: 4}",
         "--trainer.max_epochs=10"],
        ["--trainer.overfit_batches=4", "--trainer.max_epochs=20"],
    ],
)  # fmt: skip
def test_the_last_planned_step_is_the_last_step_that_is_taken(words: list[str]) -> None:
    run = fit("--config=sgd", "--probe.images=10", *words)
    last = stored_points(run.run_id, "train/loss").steps[-1]
    assert last > 64
    accumulated = 3 if "--trainer.accumulate_grad_batches=3" in words else 1
    expected = list(probe_steps(0, int(last), 64 * accumulated, 10))
    assert probed(run).steps.tolist() == expected
    assert expected[-1] == last


def test_without_a_limit_of_steps_strata_have_one_length() -> None:
    run = fit("--config=sgd", "--trainer.max_epochs=-1", "--trainer.max_time=00:00:00:02")
    last = stored_points(run.run_id, "train/loss").steps[-1]
    assert probed(run).steps.tolist() == list(takewhile(lambda step: step <= last, probe_steps(0, None, 64, 256)))


def test_commands_that_do_not_train_measure_none() -> None:
    run = fit("--config=adam")
    checkpoint = f"--ckpt_path=mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/last.ckpt"
    for command in ("test", "validate", "predict"):
        assert main([command, *DIGITS, checkpoint]) == 0
    (tested,) = read_runs("lit_lossopt")
    assert probed(tested).steps.tolist() == list(range(BATCHES + 1))
    assert main(["lr-find", "--config=adam", *DIGITS, "--steps=60"]) == 0
    assert "train/probe_loss" not in read_runs("lit_lossopt")[-1].metrics


@pytest.mark.parametrize("off", [["--probe.images=0"], ["--trainer.logger=false"]])
def test_it_is_left_out_where_it_is_not_wanted(off: list[str]) -> None:
    Counted.sizes.clear()
    words = [f"{MINE}Counted", ALLOWED, "--trainer.limit_val_batches=0", "--trainer.num_sanity_val_steps=0"]
    assert (
        main(
            [
                "fit",
                *words,
                *DIGITS,
                "--trainer.max_epochs=1",
                "--data.eval_batch_size=10",
                "--data.batch_size=100",
                *off,
            ]
        )
        == 0
    )
    # The first batch of either kind is tried before there is a run.
    assert Counted.sizes <= {10, 100}


class Breaks(MiniCNN):
    """A network that runs out of memory when it is evaluated after a step; one is tried before there is a run."""

    steps = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, or fail."""
        if self.training:
            # Steps that are tried before there is a run do not count.
            Breaks.steps += Path("mlruns").exists()
        elif Breaks.steps:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(images)


def test_an_error_of_the_probe_is_the_runs() -> None:
    Breaks.steps = 0
    with pytest.raises(torch.OutOfMemoryError, match="out of memory") as raised:
        fit(f"{MINE}Breaks")
    assert raised.value.__notes__ == ["met while the probe loss of step 1 was measured; --probe.images=0 leaves it out"]
    (run,) = read_runs("lit_lossopt")
    assert run.tags["lossopt.verdict"] == "failed"
    assert probed(run).steps.tolist() == [0]


def typed_wrong() -> Iterator[tuple[str, str]]:
    yield "--probe.images=-1", "probe.images=-1: must be at least 0, where 0 switches the probe loss off"
    yield "--probe.images=many", "probe.images=many from the command line: expected int"
    yield "--probe=5", "probe from the command line: give its parts, as probe.images"
    yield "--probe.image=5", "did you mean"


@pytest.mark.parametrize(("typed", "message"), list(typed_wrong()))
def test_what_is_typed_wrong_is_one_line(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *DIGITS, typed]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not Path("mlruns").exists()
