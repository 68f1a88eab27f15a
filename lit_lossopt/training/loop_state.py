"""Lightning's private state of its loops.

Everything that this package asks of it, or sets in it, is here. Lightning has no public way to any of it.
"""

# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch

_VAL_PROGRESS = "epoch_loop.val_loop.batch_progress"


def epoch_of(trainer: pl.Trainer) -> int:
    """Return the number of epochs that are behind, as an epoch's place.

    It is right also where training is resumed in the middle of an epoch.
    """
    return int(trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]  # it is there


def batch_number(trainer: pl.Trainer) -> int:
    """Return the number of the present batch since the run began, from 0."""
    return int(trainer.fit_loop.total_batch_idx)


def epochs_done(trainer: pl.Trainer) -> float:
    """Return the epochs done, fractions included."""
    return float(batch_number(trainer) + 1) / trainer.num_training_batches


def may_save(trainer: pl.Trainer) -> bool:
    """Return whether one can go on to the bit after this batch."""
    loop = trainer.fit_loop.epoch_loop
    ended = trainer.global_step >= trainer.max_steps > 0
    validates = loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]  # exists while training
    return not (loop._should_accumulate() or ended or validates) and within_epoch(trainer)


def goes_on(trainer: pl.Trainer) -> bool:
    """Return whether one can go on to the bit after validation.

    Not between the batches of one step; nor where the validation has ended training within an epoch, whose end
    Lightning would leave out.
    """
    stops = trainer.should_stop and within_epoch(trainer)
    return not (trainer.fit_loop.epoch_loop._should_accumulate() or stops)


def state_of(trainer: pl.Trainer) -> dict[str, Any]:
    """Return everything that a checkpoint holds."""
    checkpoint: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    return checkpoint


def within_epoch(trainer: pl.Trainer) -> bool:
    """Return whether the epoch has batches left."""
    return not trainer.fit_loop.epoch_loop._num_ready_batches_reached()


def validate_now(trainer: pl.Trainer) -> None:
    """Validate outside Lightning's own moments."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.restarting = False
    trainer.validating = True
    loop.run()
    # Where training is resumed at an epoch's end, Lightning must still pass through that end, or takes all epochs that
    # follow for resumed ones.
    loop._has_run = False
    trainer.training = True


def forget_validation(trainer: pl.Trainer) -> None:
    """Forget that a validation was done anew.

    At an epoch's end Lightning would take that epoch, and each one after it, for trained and validated.
    """
    trainer.fit_loop.epoch_loop.val_loop._has_run = False


def as_if_validated(checkpoint: dict[str, Any]) -> None:
    """Count a validation that was cut short as done, in a checkpoint.

    It is done anew and whole by a callback.
    """
    progress = checkpoint["loops"]["fit_loop"][_VAL_PROGRESS]
    for which in ("total", "current"):
        progress[which] |= dict.fromkeys(("started", "processed", "completed"), progress[which]["ready"])
    progress["is_last_batch"] = True


def epochs_behind(checkpoint: Mapping[str, Any]) -> int:
    """Return the epochs that a checkpoint has behind it."""
    loops = checkpoint["loops"]["fit_loop"]
    at_end = bool(loops["epoch_loop.batch_progress"]["is_last_batch"])
    return int(loops["epoch_progress"]["current"]["processed"]) + at_end


def is_within_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint was saved between the batches of an epoch."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return not progress["is_last_batch"] and progress["current"]["processed"] > 0


def metrics_of(trainer: pl.Trainer) -> dict[str, float]:
    """Return the metrics that callbacks may ask for."""
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def restore_metrics(trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
    """Let callbacks find the metrics of before.

    Where training goes on at an epoch's end, they ask for them before anything is evaluated anew.
    """
    known = trainer._logger_connector._callback_metrics
    for name, value in metrics.items():
        known.setdefault(name, torch.tensor(value))


def wait_for_no_signal(trainer: pl.Trainer) -> None:
    """Keep Lightning from telling other processes of signals by itself.

    It would wait for them inside its signal handler, and it hears of the first rank's signals only.
    """
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    """Do nothing."""
