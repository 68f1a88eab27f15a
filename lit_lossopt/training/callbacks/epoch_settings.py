"""What Lightning sets at an epoch's start, set also where training is resumed within the epoch, which has no start."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler


class EpochSettings(pl.Callback):
    """Has the number of batches whose gradients are accumulated be that of the epoch in which training begins."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set it; where the epoch has a start, it is set there once more."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
            if isinstance(callback, GradientAccumulationScheduler):
                callback.on_train_epoch_start(trainer)
