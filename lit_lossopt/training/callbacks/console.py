"""One readable line for each evaluation, and a progress bar.

Neither costs a synchronisation of the device.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, TextIO

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_lossopt.core import names
from lit_lossopt.core.terminal_text import is_bare_terminal, width_of
from lit_lossopt.training.callbacks.line_stream import bars_stream
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.loop_state import epochs_done


class EvaluationLines(pl.Callback):
    """Prints epoch, step, loss and accuracy at each evaluation.

    Outside of training it prints the result.
    """

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
        epochs = epochs_done(trainer)
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        latest = _latest_loss(trainer)
        # There is none where a validation that was cut short is done anew.
        trained = "" if math.isnan(latest) else f"loss {latest:.4f}  "
        # Within the 80 columns of a small terminal, for runs of up to 999 epochs.
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
    """A bar on a terminal, and nothing in a file.

    It shows the loss of the last copy from the device.

    It is drawn on standard error, and gone when its work is done. ``lines_above_bars`` keeps lines out of it.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=10, leave=False)
        if not is_bare_terminal(sys.stderr):
            self.disable()

    def init_sanity_tqdm(self) -> Tqdm:
        """Return the bar of the validation before training."""
        return _passing(super().init_sanity_tqdm)

    def init_train_tqdm(self) -> Tqdm:
        """Return the bar of training."""
        return _passing(super().init_train_tqdm)

    def init_validation_tqdm(self) -> Tqdm:
        """Return the bar of a validation."""
        return _passing(super().init_validation_tqdm)

    def init_test_tqdm(self) -> Tqdm:
        """Return the bar of a test."""
        return _passing(super().init_test_tqdm)

    def init_predict_tqdm(self) -> Tqdm:
        """Return the bar of predictions."""
        return _passing(super().init_predict_tqdm)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Clear what is shown.

        The end of an interrupted or failed run is told in lines.
        """
        for bar in (
            self._val_progress_bar, self._test_progress_bar, self._predict_progress_bar, self._train_progress_bar
        ):  # fmt: skip
            if bar is not None:
                bar.close()
        if self.is_enabled:
            _clear_line(bars_stream())

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what the bar shows beside the count."""
        loss = _latest_loss(trainer)
        return {} if math.isnan(loss) else {"loss": f"{loss:.4f}"}


def _passing(make: Callable[[], Tqdm]) -> Tqdm:
    """Return a bar that leaves nothing behind.

    It is on standard error. Lightning's own bars are on standard output.
    """
    stream = bars_stream()
    with redirect_stdout(stream):
        bar = make()
    bar.leave = False
    if not bar.disable:
        bar.dynamic_ncols = lambda _: _room(stream)
    return bar


def _room(terminal: TextIO) -> tuple[int, int]:
    """Return columns and lines for a bar.

    There is room for the ``^C`` that a terminal echoes behind it.

    It would begin a new line otherwise, and the bar could not be cleared any more.
    """
    return max(1, width_of(terminal) - 3), os.get_terminal_size(terminal.fileno()).lines or 24


def _clear_line(terminal: TextIO) -> None:
    """Clear what stands in the line of the cursor.

    It is the bar, and what was typed behind it.
    """
    blank = " " * (width_of(terminal) - 1)
    terminal.write(f"\r{blank}\r")
    terminal.flush()


def _latest_loss(trainer: pl.Trainer) -> float:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by the trainer's connector
    return next((callback.latest_loss for callback in callbacks if isinstance(callback, StepValues)), float("nan"))
