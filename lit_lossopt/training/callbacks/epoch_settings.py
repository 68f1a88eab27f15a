"""What Lightning sets at the start of an epoch.

It is set also where training is resumed within the epoch, which then has no start.
"""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler


class EpochSettings(pl.Callback):
    """Sets how many batches' gradients are accumulated.

    The number is the one that the settings give for the epoch in which training begins.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set it.

        Where the epoch has a start, it is set there once more.
        """
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
            if isinstance(callback, GradientAccumulationScheduler):
                callback.on_train_epoch_start(trainer)
