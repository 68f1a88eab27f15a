"""The loss and learning rate of every step.

No step synchronises the device for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.optimizers import has_rate
from lit_lossopt.tracking.recording import Point, send_points
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.step_output import TrainingOutput

COPY_EVERY = 50
# Slow steps are copied before, so that none waits longer than so many seconds.
COPY_SECONDS = 2.0
Watch = Callable[[pl.Trainer, pl.LightningModule, Sequence[int], list[float]], None]
Listener = Callable[[str, int, float], None]


class StepValues(pl.Callback):
    """Keeps each step's loss on the device.

    The values are handed on in one copy every ``COPY_EVERY`` steps.

    Values of slow steps are handed on every ``COPY_SECONDS``. What is watched, and so where training may end, goes by
    steps alone.

    Step n is the n-th optimizer step, from 1; its loss is taken before the update, its rate is the one the update
    used. Where gradients are accumulated, the loss of a step is the mean over its batches; on several devices it is the
    mean over their shares, which are equal, taken once a copy and not in each step.

    Other callbacks may add values of their own, which are copied along. They are the first rank's.

    Args:
        watch: called with (trainer, module, steps, losses) after each copy; may end training.

    Attributes:
        listeners: called with (name, step, value) of each added value once it is on the host.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch
        self.listeners: list[Listener] = []
        self.latest_loss = float("nan")
        # Of the first rank's training, spent on something else.
        self.paused_seconds = 0.0
        self._unwatched: tuple[list[int], list[float]] = ([], [])
        self._copied_at = time.monotonic()
        self._steps_a_copy = 1
        self._batch_losses: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._marks: list[tuple[int, int, dict[str, float]]] = []
        self._added: list[Tensor] = []
        self._added_marks: list[tuple[str, int, int]] = []
        self._rates: dict[str, float] = {}
        self._last_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin counting where training begins."""
        self._last_step = trainer.global_step
        self._copied_at = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rates that the coming step will use.

        The schedule moves on before the batch ends.
        """
        self._rates = learning_rates(trainer.optimizers)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss.

        Once enough steps have gathered, they are sent.
        """
        output: TrainingOutput = outputs
        self._batch_losses.append(output["loss_before"])
        step = trainer.global_step
        if step == self._last_step:
            return
        self._last_step = step
        self._losses.append(_mean(self._batch_losses))
        self._batch_losses = []
        self._marks.append((step, _milliseconds(), self._rates))
        if len(self._marks) + len(self._unwatched[0]) >= COPY_EVERY:
            self.flush(trainer, pl_module)
        elif self._is_due():
            self._send(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send what has gathered.

        This makes the record whole up to each evaluation.
        """
        self.flush(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the rest."""
        self.flush(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Send the rest.

        The last steps before a failure are those that explain it.

        Of several ranks one may fail alone, and a mean over ranks would be waited for in vain.
        """
        if not ranks.several():
            self._send(trainer)

    def add(self, name: str, value: Tensor, step: int) -> None:
        """Keep one more value until the next copy.

        It is a scalar on any device. Steps rise within each name.
        """
        self._added.append(value.detach())
        self._added_marks.append((name, step, _milliseconds()))

    def flush(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Send what has gathered, and have it looked at."""
        self._send(trainer)
        (steps, losses), self._unwatched = self._unwatched, ([], [])
        if losses and self.watch:
            self.watch(trainer, module, steps, losses)

    def _is_due(self) -> bool:
        """Return whether values have waited long.

        All ranks copy at the same step.
        """
        if ranks.several():
            return len(self._marks) >= self._steps_a_copy
        return time.monotonic() - self._copied_at > COPY_SECONDS

    def _send(self, trainer: pl.Trainer) -> None:
        """Copy what has gathered from the device to the loggers."""
        if not (self._marks or self._added):
            return
        losses, added = self._copied()
        self._unwatched[0].extend(step for step, _, _ in self._marks)
        self._unwatched[1].extend(losses)
        points = [
            Point(name, value, step, milliseconds)
            for loss, (step, milliseconds, rates) in zip(losses, self._marks, strict=True)
            for name, value in ((names.TRAIN_LOSS, loss), *rates.items())
        ]
        points += [
            Point(name, value, step, milliseconds)
            for value, (name, step, milliseconds) in zip(added, self._added_marks, strict=True)
        ]
        for listen in self.listeners:
            for value, (name, step, _) in zip(added, self._added_marks, strict=True):
                listen(name, step, value)
        self.latest_loss = losses[-1] if losses else self.latest_loss
        self._note_pace(len(self._marks))
        self._losses, self._marks, self._added, self._added_marks = [], [], [], []
        started = time.monotonic()
        send_points(trainer.loggers, points)
        self.paused_seconds += time.monotonic() - started

    def _note_pace(self, steps: int) -> None:
        now, before = time.monotonic(), self._copied_at
        self._copied_at = now
        if steps and ranks.several():
            # The slowest rank's, so that they agree.
            milliseconds = ranks.highest(int(1000 * (now - before) / steps) + 1)
            self._steps_a_copy = max(1, int(1000 * COPY_SECONDS / milliseconds))

    def _copied(self) -> tuple[list[float], list[float]]:
        """Return the losses of all ranks and this rank's values.

        They take a single copy from the device.
        """
        losses = [ranks.mean(torch.stack(self._losses))] if self._losses else []
        added = [torch.stack(self._added)] if self._added else []
        values: list[float] = torch.cat([*losses, *added]).tolist()
        return values[: len(self._losses)], values[len(self._losses) :]


def learning_rates(optimizers: list[torch.optim.Optimizer]) -> dict[str, float]:
    """Return the learning rates by metric name.

    There is one name where all parameter groups agree, otherwise one for each group.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if has_rate(group)]
    rates = [float(group["lr"]) for group in groups]
    if len(set(rates)) <= 1:
        return {names.TRAIN_LR: rates[0]} if rates else {}
    return {
        f"{names.TRAIN_LR}/{group.get('name', index)}": rate
        for index, (group, rate) in enumerate(zip(groups, rates, strict=True))
    }


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _mean(losses: list[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()
