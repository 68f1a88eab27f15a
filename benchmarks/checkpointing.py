"""Steps per second with a checkpoint every 200 steps, over those of the same training without.

Run: ``python -m benchmarks.checkpointing``. MiniCNN on random 32×32 images, batch 64, one thread, SGD with momentum.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch

from benchmarks.harness import interleave, ratio, write
from benchmarks.throughput import BATCH, RandomImages
from benchmarks.tracking import Stopwatch
from lit_lossopt.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.cli import TRAINER_DEFAULTS, quieten
from lit_lossopt.module import LossOptModule

STEPS, WARM_UP = 600, 30


def train(data: RandomImages, every: int | None) -> float:
    """Return steps a second, saving every so many steps."""
    watch = Stopwatch(WARM_UP)
    callbacks: list[pl.Callback] = [watch]
    if every:
        callbacks.append(RunCheckpoints(every_n_steps=every, every_minutes=None))
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
    return watch.rate


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/checkpointing.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    data = RandomImages(batch_size=BATCH, validate_on_test=True)
    data.setup("fit")
    arms = {"no checkpoints": partial(train, data, None), "every 200 steps": partial(train, data, 200)}
    values = interleave(arms, repeats)
    found = ratio("every 200 steps / none", values["every 200 steps"], values["no checkpoints"], wanted=0.98)
    print(f"{found.name}: {found.median:.3f} [{found.low:.3f}, {found.high:.3f}], wanted at least {found.wanted}")
    print(write("checkpointing", values, "steps per second, batch 64, one thread", [found]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
