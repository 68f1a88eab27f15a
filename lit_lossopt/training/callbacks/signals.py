"""SIGTERM and Ctrl-C end training between two batches.

They do so in validation too, so that everything is left whole.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_lossopt.core import signals
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.loop_state import may_save

Flush = Callable[[pl.Trainer, pl.LightningModule], None]


class SignalStop(pl.Callback):
    """Notes a signal when it comes, and saves.

    It ends training or validation between two batches.

    A second Ctrl-C ends at once. On several devices a signal to any process ends all of them at the same step.

    Args:
        save: saves the state before training ends; None: nothing is saved.
        flush: called before training ends where nothing is saved; of several ranks each would be too late alone.
    """

    def __init__(self, save: Callable[[pl.Trainer], None] | None = None, flush: Flush | None = None) -> None:
        self.received: int | None = None
        self.save = save
        self.flush = flush
        self._listens = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals; give them back afterwards."""
        with signals.handled(self._note) as listens:
            self._listens = listens
            try:
                yield
            finally:
                self._listens = False

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM back."""
        self._take_back()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGTERM back."""
        self._take_back()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after a batch.

        Where a validation is due, that stops itself.
        """
        if self.save is None or may_save(trainer):
            self._stop(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before a validation."""
        self._stop(trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop before a batch of validation."""
        self._stop(trainer, amid_validation=True)

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop before a batch of a test."""
        self._stop(trainer)

    def on_predict_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop before a batch of predictions."""
        self._stop(trainer)

    def _take_back(self) -> None:
        # Lightning has put a handler of its own in front of ours, after which it would end training before this does,
        # and within a validation, where nothing can be saved.
        if self._listens:
            signals.take(self._note, signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def _stop(self, trainer: pl.Trainer, *, amid_validation: bool = False) -> None:
        received = ranks.highest(self.received or 0)
        if not received:
            return
        if trainer.state.fn == "fit" and not trainer.sanity_checking and trainer.global_step:
            if amid_validation:
                _take_back_weights(trainer)
            if self.save:
                self.save(trainer)
            elif self.flush and ranks.several():
                self.flush(trainer, trainer.lightning_module)
        raise SIGTERMException if received == signal.SIGTERM else KeyboardInterrupt


def _take_back_weights(trainer: pl.Trainer) -> None:
    """Give the network the weights that are trained.

    A validation may have lent it their average.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
        if isinstance(callback, WeightAveraging):
            callback.on_validation_epoch_end(trainer, trainer.lightning_module)
