"""Metrics that callbacks and schedules follow.

They are there, or it is said before a run exists.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import ReduceLROnPlateau

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.training.module import LossOptModule

# Whatever else is among the callbacks may log metrics of its own.
_LOG_NOTHING = ("lit_lossopt.", "lightning.", "pytorch_lightning.")


def metrics_of(module: LossOptModule, trainer: pl.Trainer) -> list[str]:
    """Return the metrics that an evaluation leaves for callbacks.

    It is one of this training.
    """
    if trainer.limit_val_batches == 0:
        return []
    quantities = ["loss", "accuracy", *(["nll", "brier", "ece"] if module.contract.probabilities else [])]
    return [*(names.metric(names.VAL, quantity) for quantity in quantities), names.BEST_VAL_ACCURACY]


def check_monitors(module: LossOptModule, trainer: pl.Trainer) -> None:
    """Refuse callbacks that follow a metric that is not measured.

    Raises:
        UserError: the metric, and those that there are.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # it is there
    if not all(type(callback).__module__.startswith(_LOG_NOTHING) for callback in callbacks):
        return
    for callback in callbacks:
        _check(f"trainer.callbacks: {type(callback).__name__}", getattr(callback, "monitor", None), module, trainer)


def check_plateau(scheduler: Any, module: LossOptModule, trainer: pl.Trainer) -> None:
    """Refuse a schedule whose metric is not measured in time.

    Raises:
        UserError: the metric and those that there are, or what it needs.
    """
    if not isinstance(scheduler, ReduceLROnPlateau):
        return
    _check("model.lr_scheduler: ReduceLROnPlateau", scheduler.monitor, module, trainer)
    if module.schedule.unit != "epoch" or trainer.check_val_every_n_epoch != 1:
        raise UserError(
            "model.lr_scheduler: ReduceLROnPlateau needs an evaluation at each of its steps; leave "
            "model.lr_scheduler_interval at epoch and trainer.check_val_every_n_epoch at 1"
        )


def _check(who: str, monitor: str | None, module: LossOptModule, trainer: pl.Trainer) -> None:
    known = metrics_of(module, trainer)
    if monitor is not None and monitor not in known:
        there = f"there are: {', '.join(known)}" if known else "there are none (trainer.limit_val_batches=0)"
        raise UserError(f"{who}.monitor={monitor}: not measured{did_you_mean(monitor, known)}; {there}")
