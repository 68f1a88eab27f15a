"""What a person is told when a training has ended."""

from __future__ import annotations

import lightning.pytorch as pl

from lit_lossopt.core.names import BEST_VAL_ACCURACY
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.next_steps import next_steps


def say_where(trainer: pl.Trainer, record: str) -> None:
    """Print the best accuracy, the run, and what a person may type next.

    Args:
        trainer: whose training has ended.
        record: the tag of a run that is no training, or an empty text.
    """
    logger = trainer.logger
    if not isinstance(logger, RunLogger) or not logger.version:
        return
    best = trainer.callback_metrics.get(BEST_VAL_ACCURACY)
    shown = [f"best val accuracy {float(best):.4f}"] if best is not None else []
    run = f"run {logger.version} in experiment {logger.name}"
    # What is no training is compared with none; of a sweep's trials the sweep says it, once.
    steps = [] if record or logger.is_nested else next_steps(logger.name, logger.experiment_id, logger.tracking_uri)
    print("\n".join([*shown, run, *steps]), flush=True)
