"""The confusion matrix of the last evaluation, as a picture among the run's artifacts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl
from torch import Tensor

from lit_lossopt import names
from lit_lossopt.figures import confusion_figure
from lit_lossopt.recording import Recorder


@runtime_checkable
class HasConfusion(Protocol):
    """A module that keeps the confusion matrix ``[K, K]`` of its last evaluation, by split."""

    confusion: dict[str, Tensor]


class ConfusionPicture(pl.Callback):
    """Draws ``pictures/confusion_val.png`` when training ends and ``pictures/confusion_test.png`` after a test."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the last validation."""
        self._draw(trainer, pl_module, names.VAL)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the test."""
        self._draw(trainer, pl_module, names.TEST)

    def _draw(self, trainer: pl.Trainer, module: pl.LightningModule, split: str) -> None:
        recorders = [logger for logger in trainer.loggers if isinstance(logger, Recorder)]
        if not recorders or not isinstance(module, HasConfusion) or split not in module.confusion:
            return
        matrix = module.confusion[split].numpy()
        class_names = getattr(trainer.datamodule, "class_names", None) or [str(i) for i in range(len(matrix))]  # type: ignore[attr-defined]  # set by fit
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"confusion_{split}.png"
            confusion_figure(matrix, class_names, title=f"Confusion on {split}").savefig(path, dpi=120)
            for recorder in recorders:
                recorder.log_file(path, names.PICTURE_FOLDER)
