"""A last evaluation where training ends between two of them, so that every run has a final accuracy."""

from __future__ import annotations

import lightning.pytorch as pl


class FinalEvaluation(pl.Callback):
    """Validates once more when ``max_steps`` or ``max_time`` ends training after the last evaluation."""

    def __init__(self) -> None:
        self._evaluated_at = -1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the step."""
        self._evaluated_at = trainer.global_step

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate, if there is something to validate that was not."""
        if trainer.global_step == self._evaluated_at or not trainer.enable_validation:
            return
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
