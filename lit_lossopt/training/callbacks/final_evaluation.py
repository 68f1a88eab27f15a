"""A last evaluation where training ends between two of them.

It gives every run a final accuracy.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from lit_lossopt.training.loop_state import validate_now


class FinalEvaluation(pl.Callback):
    """Validates once more at the end of training.

    It does so when ``max_steps`` or ``max_time`` ends training after the last evaluation.
    """

    def __init__(self) -> None:
        self._evaluated_at = -1

    def state_dict(self) -> dict[str, Any]:
        """Return the step of the last evaluation."""
        return {"evaluated_at": self._evaluated_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._evaluated_at = state_dict["evaluated_at"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the step."""
        self._evaluated_at = trainer.global_step

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate, if there is something to validate that was not."""
        if trainer.global_step == self._evaluated_at or not trainer.enable_validation:
            return
        validate_now(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate where a signal had cut the last evaluation short.

        A resumed training is then at its end before it begins.
        """
        if trainer.global_step != self._evaluated_at and trainer.enable_validation:
            # The Trainer has taken the network off its device by now.
            trainer.strategy.model_to_device()
            validate_now(trainer)
