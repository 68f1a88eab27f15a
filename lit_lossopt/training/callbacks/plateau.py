"""ReduceLROnPlateau with each epoch's validation.

It is told before the checkpoint that follows is saved.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import lightning.pytorch as pl
from lightning.pytorch.cli import ReduceLROnPlateau

from lit_lossopt.training.loop_state import within_epoch


@runtime_checkable
class HasPlateau(Protocol):
    """A module with a schedule that follows a metric, or None."""

    plateau: ReduceLROnPlateau | None


class PlateauSchedule(pl.Callback):
    """Steps the schedule at the end of an epoch's validation.

    Lightning does it later, after checkpoints are saved, and not at all for an epoch from whose end it resumes.
    """

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Step, if this was the epoch's validation."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or within_epoch(trainer):
            return
        if isinstance(pl_module, HasPlateau) and pl_module.plateau is not None:
            pl_module.plateau.step(float(trainer.callback_metrics[pl_module.plateau.monitor]))
