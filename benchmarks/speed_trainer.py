"""The same training by ``lossopt fit``, with and without what it keeps and measures."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from benchmarks.live import children_seconds
from benchmarks.speed_loops import WARM_UP, Batches, Clock, Point, Window, images_of, tuned_batches
from lit_lossopt.__main__ import main
from lit_lossopt.core.heap import keep_freed_memory
from lit_lossopt.networks.mini_cnn import MiniCNN

# A run of so many steps is planned, and its beginning is trained. What is measured beside the steps is spread over all.
PLANNED = 5_000
_BARE = ("--trainer.logger=false", "--trainer.enable_checkpointing=false", "--diagnostics=off", "--probe.images=0")
_TRACKED = ("--diagnostics=off", "--probe.images=0")


class Stopwatch(pl.Callback):
    """Times the steps behind the warm-up, and then ends training.

    Args:
        steps: to be timed.
    """

    found: Window

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock once warm."""
        if trainer.global_step == WARM_UP:
            self.clock = Clock(children_seconds)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop the clock."""
        if trainer.global_step == WARM_UP + self.steps:
            type(self).found = self.clock.window(self.steps)
            trainer.should_stop = True


class Minimal(pl.LightningModule):
    """The hand-tuned loop's training as a LightningModule, with nothing of this package around it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss."""
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


def lightning_alone(point: Point) -> Window:
    """Train by Lightning's Trainer without logger, checkpoints, bar and callbacks."""
    keep_freed_memory()
    watch = Stopwatch(point.steps)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=-1, logger=False, enable_checkpointing=False, callbacks=[watch],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    channels = images_of(point.image_size)[0].shape[1]
    trainer.fit(Minimal(MiniCNN(channels, point.image_size)), _Batches(point))
    return Stopwatch.found


class _Batches:
    def __init__(self, point: Point) -> None:
        self.point = point

    def __iter__(self) -> Batches:
        return tuned_batches(self.point)


def untracked(point: Point) -> Window:
    """Train with nothing kept: the Trainer, the module and the data."""
    return _fit(point, _BARE)


def tracked(point: Point) -> Window:
    """Train with every step recorded, and with checkpoints."""
    return _fit(point, _TRACKED)


def as_it_comes(point: Point) -> Window:
    """Train by the defaults: recorded, with checkpoints, the probe loss and the diagnostics."""
    return _fit(point, ())


def _fit(point: Point, words: tuple[str, ...]) -> Window:
    status = main([
        "fit", "--allow-import=benchmarks", "--config=sgd_momentum", f"--threads={point.threads}",
        f"--data=benchmarks.speed_data.Images{point.image_size}", f"--data.batch_size={point.batch}",
        "--data.val_fraction=0.005", "--trainer.max_epochs=-1", f"--trainer.max_steps={PLANNED}",
        "--trainer.limit_val_batches=1", "--trainer.num_sanity_val_steps=0", "--trainer.enable_progress_bar=false",
        "--trainer.callbacks+=benchmarks.speed_trainer.Stopwatch", f"--trainer.callbacks.steps={point.steps}", *words,
    ])  # fmt: skip
    if status:
        raise RuntimeError(f"fit ended with {status}")
    return Stopwatch.found
