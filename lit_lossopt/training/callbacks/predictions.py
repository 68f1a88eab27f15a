"""Predictions as a table.

It has file, class and probabilities.
"""

from __future__ import annotations

import csv
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError, printable
from lit_lossopt.core.paths import given_path
from lit_lossopt.training.step_output import Predictions


class PredictionTable(pl.Callback):
    """Writes one row for each image.

    It has the file, the predicted class and, where the loss implies them, all probabilities.

    Args:
        path: the CSV file to write.
    """

    def __init__(self, path: str = "predictions.csv") -> None:
        self.path = given_path(path)
        self._classes: list[Tensor] = []
        self._probabilities: list[Tensor] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make sure that the table can be written.

        This comes before anything is computed.

        Raises:
            UserError: it cannot.
        """
        if stage != "predict":
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a"):
                pass
        except OSError as error:
            raise UserError(f"predictions.path={self.path}: cannot be written ({error.strerror})") from error

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Predictions,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's predictions on the host."""
        self._classes.append(outputs["classes"].cpu())
        if outputs["probabilities"] is not None:
            self._probabilities.append(outputs["probabilities"].float().cpu())

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the table."""
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by predict
        class_names: list[str] = data.class_names
        classes = torch.cat(self._classes).tolist()
        probabilities = torch.cat(self._probabilities).tolist() if self._probabilities else [[]] * len(classes)
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "class", *(f"p({name})" for name in class_names if self._probabilities)])
            # Fewer than there are if the Trainer was told to stop early (limit_predict_batches).
            sources = data.images("predict").sources[: len(classes)]
            for source, label, row in zip(sources, classes, probabilities, strict=True):
                writer.writerow([printable(source), class_names[label], *(f"{value:.6g}" for value in row)])
        print(f"{len(classes)} predictions in {self.path}")
