"""Steps per second with every step's loss and rate tracked, over those of the same training with nothing tracked.

Run: ``python -m benchmarks.tracking``. MiniCNN on random 32×32 images and on digits, batch 64, one thread, a local
store. Beside it Lightning's own MLFlowLogger, told to log each step, waiting for the store and not. What each needs
after training, until the store holds everything, is reported apart.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import MLFlowLogger

from benchmarks.harness import interleave, ratio, write
from benchmarks.throughput import BATCH, RandomImages
from lit_lossopt.data import DigitsDataModule, ImageDataModule
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.training.callbacks.health_watch import HealthWatch
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.callbacks.training_clock import TrainingClock
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import Batch, LossOptModule
from lit_lossopt.training.step_output import TrainingOutput

STORE = "sqlite:///mlflow.db"
WANTED = {"32×32": 0.98, "digits": 0.95}
ARMS = ("nothing tracked", "lit_lossopt", "MLFlowLogger", "MLFlowLogger, not waiting")


class Stopwatch(pl.Callback):
    """Times the steps after the warm-up, and what comes after training."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.rate = 0.0
        self._start = self.end = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock once warm."""
        if trainer.global_step == self.warm_up:
            self._start = time.perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock."""
        self.end = time.perf_counter()
        self.rate = (trainer.global_step - self.warm_up) / (self.end - self._start)


class LoggingModule(LossOptModule):
    """Logs each step the way that Lightning's documentation shows."""

    def training_step(self, batch: Batch, batch_idx: int) -> TrainingOutput:
        """Return the loss, and log it and the rate."""
        found = super().training_step(batch, batch_idx)
        self.log("train/loss", found["loss"])
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return found


def train(data: ImageDataModule, steps: int, warm_up: int, arm: str, after: dict[str, list[float]]) -> float:
    """Return steps a second of one training; ``after`` collects the seconds that each arm needs behind it."""
    watch = Stopwatch(warm_up)
    logger: Any = False
    callbacks: list[pl.Callback] = []
    if arm == "lit_lossopt":
        logger = RunLogger(patience=120)
        logger.start("benchmark")
        values = StepValues(HealthWatch().look)
        callbacks = [values, TrainingClock(values)]
    elif arm != "nothing tracked":
        logger = MLFlowLogger(tracking_uri=STORE, synchronous=None if arm == "MLFlowLogger" else False)
    settings = {**TRAINER_DEFAULTS, "max_epochs": -1, "max_steps": warm_up + steps, "num_sanity_val_steps": 0}
    quiet = {"limit_val_batches": 0, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = pl.Trainer(accelerator="cpu", logger=logger, callbacks=[*callbacks, watch], **{**settings, **quiet})
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9)  # noqa: E731
    make = LoggingModule if isinstance(logger, MLFlowLogger) else LossOptModule
    module = make(optimizer=optimizer, in_channels=data.in_channels, image_size=data.image_size)
    trainer.fit(module, datamodule=data)
    after.setdefault(arm, []).append(time.perf_counter() - watch.end)
    return watch.rate


def measure(name: str, data: ImageDataModule, steps: int, warm_up: int, repeats: int) -> None:
    """Measure all arms on one kind of data and write ``results/tracking_<name>.json``."""
    after: dict[str, list[float]] = {}
    arms: dict[str, Callable[[], float]] = {arm: partial(train, data, steps, warm_up, arm, after) for arm in ARMS}
    values = interleave(arms, repeats)
    wanted = {"lit_lossopt": WANTED[name]}
    ratios = [
        ratio(f"{arm} / nothing tracked", values[arm], values["nothing tracked"], wanted.get(arm)) for arm in ARMS[1:]
    ]
    for item in ratios:
        print(f"{name}: {item.name}: {item.median:.3f} [{item.low:.3f} to {item.high:.3f}], wanted {item.wanted}")
    file = {"32×32": "tracking_32", "digits": "tracking_digits"}[name]
    seconds = {f"{arm}, {steps + warm_up} steps": numbers for arm, numbers in after.items()}
    print(write(file, values, "steps per second, batch 64, one thread", ratios, seconds_after_training=seconds))


def main(repeats: int = 7) -> None:
    """Measure both."""
    quieten()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = STORE
        digits = DigitsDataModule(batch_size=BATCH)
        digits.setup("fit")
        measure("digits", digits, 2000, 200, repeats)
        images = RandomImages(batch_size=BATCH, validate_on_test=True)
        images.setup("fit")
        measure("32×32", images, 250, 30, repeats)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
