"""Random images, and their training through the Trainer, for several benchmarks.

What compares a training with hand-written loops is ``benchmarks.speed``.
"""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.module import LossOptModule

BATCH, STEPS, WARM_UP = 64, 120, 20
IMAGES = BATCH * (STEPS + WARM_UP)


class RandomImages(ImageDataModule):
    """As many random images as the steps need, and the same again for validation, which is switched off."""

    all_class_names = [str(label) for label in range(10)]  # noqa: RUF012  # a constant in place of a property
    in_channels = 3
    image_size = 32

    def read(self, split: Split) -> LabelledImages:
        """Return random images, the same for every split."""
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
        labels = torch.from_numpy(random.integers(0, 10, IMAGES))
        return LabelledImages(as_images(pixels), labels, [""] * IMAGES)


class Stopwatch(pl.Callback):
    """Times the batches after the warm-up."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock once warm."""
        if batch_idx == WARM_UP:
            self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock."""
        self.rate = STEPS / (time.perf_counter() - self._start)


def through_trainer(data: RandomImages) -> float:
    """Return steps a second of Trainer, LossOptModule and the data module, with neither logger nor bar."""
    watch = Stopwatch()
    settings = {**TRAINER_DEFAULTS, "max_epochs": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = pl.Trainer(accelerator="cpu", callbacks=[watch], **{**settings, **quiet})
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9)  # noqa: E731
    trainer.fit(LossOptModule(optimizer=optimizer), datamodule=data)
    return watch.rate
