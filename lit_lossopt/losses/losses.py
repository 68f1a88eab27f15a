"""Losses that torch does not have, and the contract of every loss that is known.

To add one, write its class here and register it at the end of the file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_lossopt.losses.contract import LossContract, register_loss
from lit_lossopt.losses.encodings import (
    binary_or_one_hot,
    class_indices,
    clipped_normalised,
    log_softmax,
    one_hot,
    one_if_binary,
    one_per_class,
    plus_minus_one,
    sigmoid_normalised,
    soft,
    softmax,
)


class FocalLoss(nn.Module):
    """Cross-entropy that gives little weight to what is already right.

    The mean of −(1 − p)^γ log p, where p is the softmax probability of the true class. γ = 0 is cross-entropy. Outputs
    are ``[N, K]``, labels ``[N]`` int64.

    >>> logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    >>> FocalLoss(gamma=0)(logits, labels).round(decimals=4)
    tensor(1.1269)
    >>> FocalLoss(gamma=2)(logits, labels).round(decimals=4)
    tensor(0.8259)

    Args:
        gamma: focusing parameter γ ≥ 0.

    Raises:
        ValueError: γ is negative.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4, with a softmax.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma={gamma}: must not be negative")
        self.gamma = gamma

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch."""
        log_p = outputs.log_softmax(dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
        # Kept above zero: at p = 1 a power γ < 1 would have an infinite slope.
        weight = (1 - log_p.exp()).clamp_min(torch.finfo(outputs.dtype).tiny) ** self.gamma
        return -(weight * log_p).mean()


class SquentropyLoss(nn.Module):
    """Cross-entropy plus the mean square of the wrong classes' outputs.

    The mean of −log p_y + Σ_{j≠y} z_j² / (K − 1). Outputs z are ``[N, K]`` with K ≥ 2, labels y ``[N]`` int64.

    >>> SquentropyLoss()(torch.zeros(1, 4), torch.tensor([0])).round(decimals=4)  # log 4
    tensor(1.3863)

    Source: Hui, Belkin, Wright 2023, "Cut your Losses with Squentropy", equation 2.
    """

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch."""
        wrong = outputs.scatter(1, labels.unsqueeze(1), 0.0).square().sum(dim=1)
        return functional.cross_entropy(outputs, labels) + wrong.mean() / (outputs.shape[1] - 1)


class HingeLoss(nn.Module):
    """The mean of max(0, 1 − t z) over outputs z and targets t = ±1 of the same shape.

    With K > 2 classes it is one-vs-rest. torch's HingeEmbeddingLoss is another function, and its MultiMarginLoss
    compares classes with each other.

    >>> HingeLoss()(torch.tensor([[2.0, 0.5]]), torch.tensor([[1.0, -1.0]]))
    tensor(0.7500)

    Source: Cortes and Vapnik 1995, "Support-Vector Networks".
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over batch and outputs."""
        return (1 - targets * outputs).clamp_min(0).mean()


class SquaredHingeLoss(nn.Module):
    """The squared hinge loss.

    It is the mean of max(0, 1 − t z)² over outputs z and targets t = ±1 of the same shape.

    >>> SquaredHingeLoss()(torch.tensor([[2.0, 0.5]]), torch.tensor([[1.0, -1.0]]))
    tensor(1.1250)

    Source: Tang 2013, "Deep Learning using Linear Support Vector Machines", equation 5.
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over batch and outputs."""
        return (1 - targets * outputs).clamp_min(0).square().mean()


_SOFTMAX = "softmax cross-entropy"
_REGRESSION = "regression on one-hot targets"
register_loss(
    nn.CrossEntropyLoss, LossContract(class_indices, one_per_class, softmax, source=_SOFTMAX, encode_soft=soft)
)
register_loss(
    nn.NLLLoss,
    LossContract(class_indices, one_per_class, softmax, log_softmax, "cross-entropy in two parts"),
)
register_loss(
    nn.KLDivLoss,
    LossContract(one_hot, one_per_class, softmax, log_softmax, "Kullback and Leibler 1951", soft),
)
register_loss(FocalLoss, LossContract(class_indices, one_per_class, softmax, source="Lin et al. 2017"))
register_loss(SquentropyLoss, LossContract(class_indices, one_per_class, softmax, source="Hui, Belkin, Wright 2023"))
register_loss(
    nn.BCEWithLogitsLoss,
    LossContract(
        binary_or_one_hot,
        one_if_binary,
        sigmoid_normalised,
        source="logistic regression, one-vs-rest",
        encode_soft=soft,
    ),
)
register_loss(
    nn.SoftMarginLoss,
    LossContract(plus_minus_one, one_if_binary, sigmoid_normalised, source="the same function as BCEWithLogitsLoss"),
)
register_loss(
    nn.MSELoss,
    LossContract(one_hot, one_per_class, clipped_normalised, source=f"{_REGRESSION}; Brier 1950", encode_soft=soft),
)
# The absolute error is least at the median: 0 for every class rarer than half, so that L1Loss collapses on ten classes.
for _loss in (nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss):
    register_loss(_loss, LossContract(one_hot, one_per_class, None, source=_REGRESSION, encode_soft=soft))
register_loss(nn.MultiMarginLoss, LossContract(class_indices, one_per_class, None, source="Crammer and Singer 2001"))
register_loss(HingeLoss, LossContract(plus_minus_one, one_if_binary, None, source="Cortes and Vapnik 1995"))
register_loss(SquaredHingeLoss, LossContract(plus_minus_one, one_if_binary, None, source="Tang 2013"))
