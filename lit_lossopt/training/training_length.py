"""How long a training is planned to be.

It is in steps and in epochs. It also says how much a checkpoint has behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from lit_lossopt.training.loop_state import epochs_behind


@dataclass(frozen=True)
class Length:
    """A number of optimizer steps and of epochs.

    Epochs that have begun are included. None means that nothing limits them.
    """

    steps: int | None
    epochs: int | None

    def counted_in(self, unit: str) -> int | None:
        """Return the number of ``step`` or ``epoch``."""
        return self.steps if unit == "step" else self.epochs


def planned_length(trainer: pl.Trainer, batches: float) -> Length:
    """Return how long a training comes to be.

    Something may still stop it.

    The Trainer's own estimate takes the accumulation of the epoch that it is asked in for that of all epochs.

    Args:
        trainer: its limits.
        batches: batches of an epoch.
    """
    if not math.isfinite(batches):
        return Length(trainer.max_steps if trainer.max_steps >= 0 else None, None)
    most_steps = trainer.max_steps if trainer.max_steps >= 0 else math.inf
    most_epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    if most_steps == most_epochs == math.inf:
        return Length(None, None)
    accumulated = accumulation(trainer)
    steps = epochs = 0
    for begin, count in sorted(accumulated.items()):
        of_epoch = max(1, math.ceil(batches / count))
        until = min((other for other in accumulated if other > begin), default=math.inf)
        more = min(until, most_epochs) - begin
        more = max(0, min(more, math.ceil((most_steps - steps) / of_epoch) if most_steps < math.inf else more))
        steps, epochs = int(steps + more * of_epoch), int(epochs + more)
    return Length(int(min(steps, most_steps)), epochs)


def accumulation(trainer: pl.Trainer) -> dict[int, int]:
    """Return how many batches a step has from each epoch on.

    The first epoch is 0.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # it is there
    changing = next((callback for callback in callbacks if isinstance(callback, GradientAccumulationScheduler)), None)
    return dict(changing.scheduling) if changing else {0: trainer.accumulate_grad_batches}


def batches_of_epoch(trainer: pl.Trainer, loaded: int) -> int:
    """Return the batches of an epoch under the Trainer's limits.

    There are ``loaded`` of them without limits.
    """
    limit = trainer.limit_train_batches
    return min(loaded, limit) if isinstance(limit, int) else int(loaded * limit)


def length_behind(checkpoint: Mapping[str, Any]) -> Length:
    """Return the steps and epochs that a checkpoint has behind it."""
    return Length(checkpoint["global_step"], epochs_behind(checkpoint))
