"""A learning-rate range test.

Each step has a higher rate. What the curve says is among the run's metrics and files.

Not Lightning's own ``Tuner.lr_find``: it gives all parameter groups one rate (a backbone's, or that of Muon's AdamW,
would be lost), takes every other callback away (Schedule-Free must be told that it trains), keeps smoothed losses only,
whose first is half of what it was (its bias correction is one step ahead), and seeks the steepest descent per unit of
rate, which is nearly always found among the smallest. A test holds the raw losses of both against each other.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
from torch import nn
from torch.optim import Optimizer

from lit_lossopt.core import names
from lit_lossopt.tracking.recording import Point, Recorder, send_points
from lit_lossopt.training.figures import range_test_figure, write_png
from lit_lossopt.training.lr_find.curve import FEWEST, RangeTest, read_curve

# How far beyond divergence the rate rises before the test ends, so that a picture shows it.
BEYOND = 2.0


class RangeSweep(pl.Callback):
    """Raises the rate at each step and reads the curve at the end.

    Picture and findings are handed to the loggers.

    Every parameter group keeps its share: its rate is its own first one times the same factor as the optimizer's
    ``lr``. It stands in front of StepValues, and looks at what that copies.

    Args:
        rates: of each step, for the optimizer's own ``lr``.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        self.rates = list(rates)
        self.title = ""
        self.losses: list[float] = []
        self.found: RangeTest | None = None
        self.picture: bytes = b""
        self._reference = 1.0
        self._first: list[float] = []

    def call_after(self, optimizer: Optimizer, criterion: nn.Module) -> None:
        """Call the picture after what is tested."""
        self.title = f"{type(optimizer).__name__}, {type(criterion).__name__}"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the rates that the groups were made with."""
        (optimizer,) = trainer.optimizers
        self._reference = float(optimizer.defaults["lr"])
        self._first = [float(group["lr"]) for group in optimizer.param_groups]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rate of the coming step."""
        factor = self.rates[trainer.global_step] / self._reference
        for group, first in zip(trainer.optimizers[0].param_groups, self._first, strict=True):
            group["lr"] = first * factor

    def look(self, trainer: pl.Trainer, module: pl.LightningModule, steps: Sequence[int], losses: list[float]) -> None:
        """Take the losses that were just copied.

        The test ends well behind divergence.
        """
        self.losses += losses
        if len(self.losses) < FEWEST:
            return
        self.found = read_curve(self.rates[: len(self.losses)], self.losses)
        diverges = self.found.diverges
        if diverges is not None and self.rates[len(self.losses) - 1] > BEYOND * diverges:
            trainer.should_stop = True

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the picture, and hand everything on."""
        if self.found is None:
            return
        send_points(trainer.loggers, _points(self.found))
        picture = io.BytesIO()
        figure = range_test_figure(self.rates[: len(self.losses)], self.losses, self.found, self.title)
        write_png(figure, picture, dpi=100)
        self.picture = picture.getvalue()
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.log_content(self.picture, names.RANGE_PICTURE, names.PICTURE_FOLDER)


def _points(range_test: RangeTest) -> list[Point]:
    now = time.time_ns() // 1_000_000
    values = {
        names.RANGE_SUGGESTION: range_test.suggestion,
        names.RANGE_BEGINS: range_test.begins,
        names.RANGE_LOWEST: range_test.lowest,
        names.RANGE_DIVERGES: range_test.diverges,
    }
    smoothed = [
        Point(names.RANGE_SMOOTHED, float(value), step, now)
        for step, value in enumerate(range_test.smoothed, start=1)
        if np.isfinite(value)
    ]
    return [*smoothed, *(Point(name, value, 0, now) for name, value in values.items() if value is not None)]
