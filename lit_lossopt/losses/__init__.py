"""Losses and their contract.

The contract turns class labels into what each loss takes.

Labels are class indices. The contract gives the targets, the number of outputs, and the probabilities that outputs
imply.
"""

from lit_lossopt.losses.contract import (
    LossContract,
    Probabilities,
    computed,
    contract_of,
    loss_of,
    register_loss,
    registered_losses,
    unchanged,
)
from lit_lossopt.losses.encodings import (
    binary_or_one_hot,
    class_indices,
    clipped_normalised,
    log_softmax,
    one_hot,
    one_if_binary,
    one_per_class,
    plus_minus_one,
    predicted_classes,
    sigmoid_normalised,
    soft,
    softmax,
)
from lit_lossopt.losses.given import GivenLoss
from lit_lossopt.losses.losses import FocalLoss, HingeLoss, SquaredHingeLoss, SquentropyLoss

__all__ = [
    "FocalLoss",
    "GivenLoss",
    "HingeLoss",
    "LossContract",
    "Probabilities",
    "SquaredHingeLoss",
    "SquentropyLoss",
    "binary_or_one_hot",
    "class_indices",
    "clipped_normalised",
    "computed",
    "contract_of",
    "log_softmax",
    "loss_of",
    "one_hot",
    "one_if_binary",
    "one_per_class",
    "plus_minus_one",
    "predicted_classes",
    "register_loss",
    "registered_losses",
    "sigmoid_normalised",
    "soft",
    "softmax",
    "unchanged",
]
