"""What an evaluation measures, whatever the loss.

They make arms with different losses comparable.

Accuracy and the confusion matrix exist for every loss. Negative log-likelihood, Brier score and expected calibration
error need class probabilities; a loss that implies none leaves them empty.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

from lit_lossopt.losses import predicted_classes
from lit_lossopt.training.distributed.collectives import gathered

# A true class given no probability at all would make the negative log-likelihood infinite.
PROBABILITY_FLOOR = 1e-7
CALIBRATION_BINS = 15


class _MeanOverExamples(Metric):
    """A sum over examples divided by their number.

    ``update`` is the subclass's.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.count


class NegativeLogLikelihood(_MeanOverExamples):
    """The mean of −log p of the true class, in nats.

    p is floored at 1e-7.

    Source: MacKay 2003, "Information Theory, Inference, and Learning Algorithms", §39.
    """

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add probabilities ``[N, K]`` and labels ``[N]``."""
        true = probabilities.gather(1, labels.unsqueeze(1)).double().clamp_min(PROBABILITY_FLOOR)
        self.total -= true.log().sum()
        self.count += len(labels)


class BrierScore(_MeanOverExamples):
    """The mean over examples of Σ_k (p_k − y_k)².

    The sum is over all K classes. 0 is perfect, 2 the worst.

    Source: Brier 1950, "Verification of Forecasts Expressed in Terms of Probability".
    """

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add probabilities ``[N, K]`` and labels ``[N]``."""
        truth = nn.functional.one_hot(labels, probabilities.shape[1])
        self.total += (probabilities.double() - truth).square().sum()
        self.count += len(labels)


class Yardsticks(nn.Module):
    """Gathers the outputs of one evaluation and measures them together.

    All examples at once: the mean of batch means would depend on the batch size, and with class weights be wrong.

    Args:
        num_classes: number of classes K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.nll = NegativeLogLikelihood()
        self.brier = BrierScore()
        # Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
        self.ece = MulticlassCalibrationError(num_classes, n_bins=CALIBRATION_BINS, norm="l1", validate_args=False)
        self._outputs: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Outputs are ``[N, M]``, labels ``[N]``. Of several ranks each adds its own.
        """
        self._outputs.append(outputs.detach())
        self._labels.append(labels)

    def conclude(
        self, loss: Callable[[Tensor, Tensor], Tensor], probabilities: Callable[[Tensor], Tensor] | None
    ) -> tuple[dict[str, float], Tensor]:
        """Return the values by name and the confusion matrix ``[K, K]``.

        Its rows are true classes. Everything begins anew.

        Args:
            loss: outputs and labels → the mean loss.
            probabilities: outputs → class probabilities that the loss implies, or None.
        """
        outputs, labels = gathered(torch.cat(self._outputs)), gathered(torch.cat(self._labels))
        self._outputs, self._labels = [], []
        predicted = predicted_classes(outputs)
        values = {"loss": float(loss(outputs, labels)), "accuracy": float(self.accuracy(predicted, labels))}
        if probabilities is not None:
            implied = probabilities(outputs.float())
            values |= {"nll": float(self.nll(implied, labels)), "brier": float(self.brier(implied, labels))}
            # torchmetrics gives a confidence of exactly one a sixteenth bin of its own; it belongs to the last.
            values["ece"] = float(self.ece(implied.clamp_max(1 - 1e-6), labels))
        matrix = self.confusion(predicted, labels).cpu()
        for metric in (self.accuracy, self.confusion, self.nll, self.brier, self.ece):
            metric.reset()
        return values, matrix
