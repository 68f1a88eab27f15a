"""The best and the last state of a run, among its artifacts."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_lossopt import names
from lit_lossopt.recording import Recorder

RUN_KEY = "lossopt_run"


class RunCheckpoints(ModelCheckpoint):
    """Keeps ``best.ckpt`` (by validation accuracy) and ``last.ckpt`` in the run's own folder, after each validation.

    Each checkpoint names its run, so that ``test --ckpt_path FILE`` adds its results there.
    """

    def __init__(self) -> None:
        super().__init__(
            monitor=names.metric(names.VAL, "accuracy"),
            mode="max",
            filename="best",
            save_last=True,
            enable_version_counter=False,
            # Only a validation knows whether a state is the best.
            save_on_train_epoch_end=False,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the folder: the run's artifacts where there is a run, otherwise Lightning's own choice."""
        recorder = next((logger for logger in trainer.loggers if isinstance(logger, Recorder)), None)
        if recorder is not None and stage == "fit" and trainer.is_global_zero:
            self.dirpath = str(recorder.checkpoint_folder())
        super().setup(trainer, pl_module, stage)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Name the run."""
        checkpoint[RUN_KEY] = run_of(trainer)


def run_of(trainer: pl.Trainer) -> str:
    """Return the id of the run, or an empty text."""
    return str(trainer.logger.version) if trainer.logger else ""
