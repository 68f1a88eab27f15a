"""Steps per second with a checkpoint every 200 steps, over those of the same training without.

Run: ``python -m benchmarks.checkpointing``. MiniCNN on random 32×32 images, batch 64, one thread, SGD with momentum.
Beside it the share of a training's own time that is not spent in saving, which the drift of a shared machine does not
touch.
"""

from __future__ import annotations

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
from lit_lossopt.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.cli import TRAINER_DEFAULTS
from lit_lossopt.cli_messages import quieten
from lit_lossopt.module import LossOptModule

STEPS, WARM_UP = 600, 30
ARMS = {"no checkpoints": None, "every 200 steps": 200}


class TimedCheckpoints(RunCheckpoints):
    """Adds up the seconds that saving takes."""

    seconds = 0.0

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        """Save where it is time to, and take the time."""
        started = time.perf_counter()
        super().on_train_batch_end(*arguments, **named)
        self.seconds += time.perf_counter() - started


def train(data: RandomImages, every: int | None, shares: list[float]) -> float:
    """Return steps a second, saving every so many steps; ``shares`` collects the share of time not spent in that."""
    watch = Stopwatch(WARM_UP)
    callbacks: list[pl.Callback] = [watch]
    saving = TimedCheckpoints(every_n_steps=every, every_minutes=None)
    if every:
        callbacks.append(saving)
    settings = {**TRAINER_DEFAULTS, "max_epochs": -1, "max_steps": WARM_UP + STEPS, "num_sanity_val_steps": 0}
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
        shares.append(1 - saving.seconds * watch.rate / STEPS)
    return watch.rate


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/checkpointing.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    data = RandomImages(batch_size=BATCH, validate_on_test=True)
    data.setup("fit")
    shares: list[float] = []
    arms = {name: partial(train, data, every, shares) for name, every in ARMS.items()}
    values = interleave(arms, repeats)
    without, saved = (values[name] for name in ARMS)
    found = [
        ratio("every 200 steps / no checkpoints", saved, without, wanted=0.98),
        ratio("time not spent in saving / time", shares, [1.0] * repeats, wanted=0.98),
    ]
    for one in found:
        print(f"{one.name}: {one.median:.4f} [{one.low:.4f}, {one.high:.4f}], wanted at least {one.wanted}")
    print(write("checkpointing", values, "steps per second, batch 64, one thread", found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
