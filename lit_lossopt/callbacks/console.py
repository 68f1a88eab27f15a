"""One readable line an evaluation, and a progress bar that costs no device synchronisation."""

from __future__ import annotations

import math
import sys
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

from lit_lossopt import names
from lit_lossopt.callbacks.step_values import StepValues


class EvaluationLines(pl.Callback):
    """Prints epoch, step, loss and accuracy at each evaluation during training, and the result of any other."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line."""
        values = trainer.callback_metrics
        accuracy = values.get(names.metric(names.VAL, "accuracy"))
        loss = values.get(names.metric(names.VAL, "loss"))
        if trainer.sanity_checking or accuracy is None or loss is None:
            return
        if trainer.state.fn != "fit":
            print(f"val loss {float(loss):.4f}  val accuracy {float(accuracy):.4f}", flush=True)
            return
        epochs = (trainer.fit_loop.total_batch_idx + 1) / trainer.num_training_batches
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        latest = _latest_loss(trainer)
        # There is none where a validation that was cut short is done anew.
        trained = "" if math.isnan(latest) else f"train loss {latest:.4f}  "
        print(
            f"epoch {round(epochs, 2):g}{of}  step {trainer.global_step:>6}  "
            f"{trained}val loss {float(loss):.4f}  val accuracy {float(accuracy):.4f}",
            flush=True,
        )

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the result of a test."""
        loss, accuracy = (trainer.callback_metrics[names.metric(names.TEST, name)] for name in ("loss", "accuracy"))
        print(f"test loss {float(loss):.4f}  test accuracy {float(accuracy):.4f}", flush=True)


class ProgressBar(TQDMProgressBar):
    """A bar on a terminal, nothing in a file; it shows the loss of the last copy from the device."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10, leave=False)
        if not sys.stderr.isatty():
            self.disable()

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what the bar shows beside the count."""
        loss = _latest_loss(trainer)
        return {} if math.isnan(loss) else {"loss": f"{loss:.4f}"}


def _latest_loss(trainer: pl.Trainer) -> float:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by the trainer's connector
    return next((callback.latest_loss for callback in callbacks if isinstance(callback, StepValues)), float("nan"))
