"""Time spent training, apart from evaluation and saving.

It also says how much was seen by then.
"""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import torch

from lit_lossopt.core import names
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.loop_state import epochs_done


class TrainingClock(pl.Callback):
    """Logs training seconds, examples seen and epochs.

    It does this at each evaluation, so that arms can share any of these axes.

    Args:
        step_values: knows the seconds spent meanwhile on storing values and on the probe; they are not training either.
    """

    def __init__(self, step_values: StepValues) -> None:
        self.step_values = step_values
        self.seconds = 0.0
        self.examples = 0
        self._since: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds and examples up to now."""
        return {"seconds": self.seconds + self._running(), "examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.seconds, self.examples = state_dict["seconds"], state_dict["examples"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Run while batches run.

        What lies between an evaluation and the next batch is not training.
        """
        if self._since is None:
            self._since = time.monotonic() - self.step_values.paused_seconds

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the examples."""
        self.examples += len(batch[1]) * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop for the evaluation, and log."""
        self._stop(pl_module.device)
        if trainer.state.fn != "fit":
            return
        epochs = 0.0 if trainer.sanity_checking else epochs_done(trainer)
        values = {names.TRAIN_SECONDS: self.seconds, names.EXAMPLES: float(self.examples), names.EPOCHS: epochs}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop for good."""
        self._stop(pl_module.device)

    def _stop(self, device: torch.device) -> None:
        if self._since is None:
            return
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.seconds += self._running()
        self._since = None

    def _running(self) -> float:
        """Return the seconds since the clock was started.

        They are 0 while it stands.
        """
        return 0.0 if self._since is None else time.monotonic() - self.step_values.paused_seconds - self._since
