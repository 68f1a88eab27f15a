"""What an evaluation measures, whatever the loss: mean loss, accuracy, confusion matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from lit_lossopt.losses import predicted_classes


class Yardsticks(nn.Module):
    """Gathers the outputs of one evaluation and measures them together.

    All examples at once: the mean of batch means would depend on the batch size, and with class weights be wrong.

    Args:
        num_classes: number of classes K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self._outputs: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch: outputs ``[N, M]``, labels ``[N]``."""
        self._outputs.append(outputs.detach())
        self._labels.append(labels)

    def conclude(self, loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[dict[str, float], Tensor]:
        """Return the values by name and the confusion matrix ``[K, K]`` (rows: true classes), and begin anew."""
        outputs, labels = torch.cat(self._outputs), torch.cat(self._labels)
        self._outputs, self._labels = [], []
        predicted = predicted_classes(outputs)
        values = {"loss": float(loss(outputs, labels)), "accuracy": float(self.accuracy(predicted, labels))}
        matrix = self.confusion(predicted, labels).cpu()
        self.accuracy.reset()
        self.confusion.reset()
        return values, matrix
