"""What the steps of the module return to callbacks."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor


class TrainingOutput(TypedDict):
    """What a training step returns.

    Attributes:
        loss: the loss of the batch, which is learned from. Lightning asks for this name.
        loss_before: the detached loss when the step began. LBFGS looks at a batch several times.
    """

    loss: Tensor
    loss_before: Tensor


class Predictions(TypedDict):
    """What a prediction step returns.

    Attributes:
        classes: predicted classes ``[N]``.
        probabilities: ``[N, K]``, or None where the loss implies none.
    """

    classes: Tensor
    probabilities: Tensor | None
