"""What an evaluation measures, whatever the loss: mean loss, accuracy, confusion matrix."""

from __future__ import annotations

from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from lit_lossopt.losses import predicted_classes


class Yardsticks(nn.Module):
    """Gathers over the batches of one evaluation.

    Args:
        num_classes: number of classes K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric()
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)

    def update(self, outputs: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Add a batch: outputs ``[N, M]``, labels ``[N]``, its mean loss."""
        predicted = predicted_classes(outputs)
        self.loss.update(loss, weight=len(labels))
        self.accuracy.update(predicted, labels)
        self.confusion.update(predicted, labels)

    def conclude(self) -> tuple[dict[str, float], Tensor]:
        """Return the values by name and the confusion matrix ``[K, K]`` (rows: true classes), and begin anew."""
        values = {"loss": float(self.loss.compute()), "accuracy": float(self.accuracy.compute())}
        matrix = self.confusion.compute().cpu()
        for metric in (self.loss, self.accuracy, self.confusion):
            metric.reset()
        return values, matrix
