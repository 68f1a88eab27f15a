"""Losses and their contract.

The contract turns class labels into what each loss takes.

Labels are class indices. The contract gives the targets, the number of outputs, and the probabilities that outputs
imply.
"""

from lit_lossopt.losses.losses import (
    FocalLoss,
    HingeLoss,
    LossContract,
    Probabilities,
    SquaredHingeLoss,
    SquentropyLoss,
    binary_or_one_hot,
    class_indices,
    clipped_normalised,
    computed,
    contract_of,
    log_softmax,
    loss_of,
    one_hot,
    one_if_binary,
    one_per_class,
    plus_minus_one,
    predicted_classes,
    register_loss,
    registered_losses,
    sigmoid_normalised,
    soft,
    softmax,
    unchanged,
)

__all__ = [
    "FocalLoss",
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
