"""Steps per second with a checkpoint every 200 steps, over those of the same training without.

Run: ``python -m benchmarks.checkpointing``. MiniCNN on random 32×32 images, batch 64, one thread, SGD with momentum.
Beside it the share of a training's processor time that does not go into saving: other work on a shared machine does not
touch that. It leaves out the wait for the disk, which is given apart.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch

from benchmarks.harness import interleave, ratio, write
from benchmarks.throughput import BATCH, RandomImages
from benchmarks.tracking import Stopwatch
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import LossOptModule

WARM_UP = 30
ARMS = {"no checkpoints": None, "every 200 steps": 200}


class TimedCheckpoints(RunCheckpoints):
    """Takes the processor's seconds of training behind the warm-up, and of saving within them."""

    started = training = saving = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock once warm."""
        if trainer.global_step == WARM_UP:
            self.started = time.process_time()

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        """Save where it is time to."""
        before = time.process_time()
        super().on_train_batch_end(*arguments, **named)
        self.saving += time.process_time() - before

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock; what is saved at the end is not of the 200 steps."""
        self.training = time.process_time() - self.started


def train(data: RandomImages, every: int | None, steps: int, shares: list[float]) -> float:
    """Return steps a second, saving every so many steps; ``shares`` collects the share of work that is not saving."""
    watch = Stopwatch(WARM_UP)
    callbacks: list[pl.Callback] = [watch]
    saving = TimedCheckpoints(every_n_steps=every, every_minutes=None)
    if every:
        callbacks.append(saving)
    settings = {**TRAINER_DEFAULTS, "max_epochs": -1, "max_steps": WARM_UP + steps, "num_sanity_val_steps": 0}
    quiet: dict[str, Any] = {"limit_val_batches": 0, "enable_progress_bar": False, "logger": False}
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            callbacks=callbacks,
            default_root_dir=folder,
            enable_checkpointing=bool(every),
            **{**settings, **quiet},
        )
        optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9)  # noqa: E731
        trainer.fit(LossOptModule(optimizer=optimizer), datamodule=data)
    if every:
        shares.append(1 - saving.saving / saving.training)
    return watch.rate


def disk_seconds(repeats: int = 20) -> dict[str, float]:
    """Return the median and the longest time in which a file as large as a checkpoint is forced to disk."""
    content = bytes(4_500_000)
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(repeats):
            file.seek(0)
            file.write(content)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return {"median": statistics.median(taken), "longest": max(taken)}


def main(repeats: int = 5, steps: int = 600) -> None:
    """Measure, print and write ``results/checkpointing.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    data = RandomImages(batch_size=BATCH, validate_on_test=True)
    data.setup("fit")
    shares: list[float] = []
    arms = {name: partial(train, data, every, steps, shares) for name, every in ARMS.items()}
    values = interleave(arms, repeats)
    without, saved = (values[name] for name in ARMS)
    found = [
        ratio("every 200 steps / no checkpoints", saved, without, wanted=0.98),
        ratio("processor time but for saving / all of it", shares, [1.0] * repeats, wanted=0.98),
    ]
    for one in found:
        print(f"{one.name}: {one.median:.4f} [{one.low:.4f} to {one.high:.4f}], wanted at least {one.wanted}")
    print(write("checkpointing", values, "steps per second, batch 64, one thread", found, disk_seconds=disk_seconds()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
