"""A callback that stops at a chosen moment of training until the process is killed: ``--trainer.callbacks+=``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

MARK = "paused"


class PauseAt(pl.Callback):
    """Waits for ever at a moment, having made the file ``paused``.

    Args:
        moment: ``batch`` (after a training batch), ``validation`` (in a batch of it), ``saving`` (between the write and
            the rename of a checkpoint).
        count: at which of them, from 1.
    """

    def __init__(self, moment: str, count: int) -> None:
        self.moment = moment
        self.count = count
        self.seen = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Get between a checkpoint's write and its rename."""
        if self.moment == "saving":
            sync = os.fsync

            def fsync(file: Any) -> None:
                sync(file)
                self._note("saving")

            setattr(os, "fsync", fsync)  # noqa: B010  # its parameter has another name

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch of training."""
        self._note("batch")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch of validation."""
        self._note("validation")

    def _note(self, moment: str) -> None:
        self.seen += moment == self.moment
        if moment == self.moment and self.seen == self.count:
            Path(MARK).touch()
            time.sleep(3600)
