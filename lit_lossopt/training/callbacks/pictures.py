"""Pictures among a run's artifacts.

They are the confusion matrix of the last evaluation, and what augmentation does.
"""

from __future__ import annotations

import io
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl
from matplotlib.figure import Figure
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.figures import confusion_figure, images_figure, write_png


@runtime_checkable
class HasConfusion(Protocol):
    """A module that keeps its last confusion matrix ``[K, K]``.

    There is one for each split.
    """

    confusion: dict[str, Tensor]


class ConfusionPicture(pl.Callback):
    """Draws ``pictures/confusion_val.png`` when training ends and ``pictures/confusion_test.png`` after a test."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the last validation.

        It is drawn also where a run is resumed at its end and does not train.
        """
        self._draw(trainer, pl_module, names.VAL)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the test."""
        self._draw(trainer, pl_module, names.TEST)

    def _draw(self, trainer: pl.Trainer, module: pl.LightningModule, split: str) -> None:
        if not isinstance(module, HasConfusion) or split not in module.confusion:
            return
        matrix = module.confusion[split].numpy()
        class_names = getattr(trainer.datamodule, "class_names", None) or [str(i) for i in range(len(matrix))]  # type: ignore[attr-defined]  # set by fit
        _send(trainer, f"confusion_{split}.png", confusion_figure(matrix, class_names, title=f"Confusion on {split}"))


@runtime_checkable
class HasAugmentation(Protocol):
    """Data that can show some training images.

    They are shown as they are, and as the first epochs will show them.
    """

    def augmented_examples(self, count: int = 8, epochs: int = 4) -> Tensor | None:
        """Return ``[1 + epochs, count, C, H, W]`` uint8, or None."""


class AugmentationPicture(pl.Callback):
    """Draws ``pictures/augmentation.png`` when training begins, where images are augmented or mixed."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw."""
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        examples = data.augmented_examples() if isinstance(data, HasAugmentation) and not trainer.global_step else None
        if examples is None:
            return
        row_names = ["as it is", *(f"epoch {epoch + 1}" for epoch in range(len(examples) - 1))]
        images = examples.permute(0, 1, 3, 4, 2).cpu().numpy()
        _send(trainer, "augmentation.png", images_figure(images, row_names, "Training images as the network sees them"))


def _send(trainer: pl.Trainer, name: str, figure: Figure) -> None:
    recorders = [logger for logger in trainer.loggers if isinstance(logger, Recorder)]
    if not recorders or not trainer.is_global_zero:
        return
    picture = io.BytesIO()
    write_png(figure, picture)
    for recorder in recorders:
        recorder.log_content(picture.getvalue(), name, names.PICTURE_FOLDER)
