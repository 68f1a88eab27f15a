"""One contract for every loss: what targets it takes, how many outputs it needs, which probabilities it implies.

Labels are class indices everywhere; a loss that wants something else says so here, once. The training code never asks
which loss it has. To add a loss, write its class (or take any ``nn.Module``) and register it:

    register_loss(MyLoss, LossContract(one_hot, one_per_class, probabilities=None))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EncodeTargets = Callable[[Tensor, Tensor], Tensor]
NumOutputs = Callable[[int], int]
Probabilities = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LossContract:
    """How a loss meets class labels.

    Attributes:
        encode_targets: (labels ``[N]`` int64, outputs ``[N, M]``) → the targets that the loss takes.
        num_outputs: number of classes K → outputs M that the network's last layer needs.
        probabilities: outputs ``[N, M]`` → class probabilities ``[N, K]`` that the loss implies; None: it implies none.
    """

    encode_targets: EncodeTargets
    num_outputs: NumOutputs
    probabilities: Probabilities | None


def class_indices(labels: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return labels ``[N]`` int64 as they are."""
    return labels


def one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return one-hot rows ``[N, M]`` in the outputs' dtype."""
    return functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)


def binary_or_one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return ``[N, 1]`` floats 0 or 1 for a single logit, otherwise one-hot rows ``[N, M]``."""
    if outputs.shape[1] == 1:
        return labels.to(outputs.dtype).unsqueeze(1)
    return one_hot(labels, outputs)


def one_per_class(num_classes: int) -> int:
    """Return K."""
    return num_classes


def one_if_binary(num_classes: int) -> int:
    """Return 1 for two classes, otherwise K."""
    return 1 if num_classes == 2 else num_classes


def softmax(outputs: Tensor) -> Tensor:
    """Return softmax probabilities ``[N, K]``."""
    return outputs.softmax(dim=1)


def sigmoid_normalised(outputs: Tensor) -> Tensor:
    """Return sigmoids: (1 − p, p) for a single logit, otherwise normalised over the classes (one-vs-rest)."""
    if outputs.shape[1] == 1:
        return torch.cat([torch.sigmoid(-outputs), torch.sigmoid(outputs)], dim=1)
    return _normalised(torch.sigmoid(outputs))


def clipped_normalised(outputs: Tensor) -> Tensor:
    """Return outputs clipped to [0, 1] and normalised; uniform where all are clipped to zero."""
    return _normalised(outputs.clamp(0, 1))


def predicted_classes(outputs: Tensor) -> Tensor:
    """Return the predicted class ``[N]`` int64: the largest output, or the sign of a single logit."""
    return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)


def _normalised(scores: Tensor) -> Tensor:
    total = scores.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scores / total, 1 / scores.shape[1])


_CONTRACTS: dict[type[nn.Module], LossContract] = {}


def register_loss(loss_class: type[nn.Module], contract: LossContract) -> None:
    """Make a loss (and its subclasses) known; the last registration of a class wins."""
    _CONTRACTS[loss_class] = contract


def contract_of(criterion: nn.Module) -> LossContract:
    """Return the contract of a loss, found along its class's ancestry.

    Raises:
        ValueError: the loss is not registered, and how to do that; or it does not average over the batch.
    """
    name = type(criterion).__name__
    reduction = getattr(criterion, "reduction", "mean")
    if reduction not in ("mean", "batchmean"):
        raise ValueError(
            f"{name} with reduction={reduction}: a loss here is a mean over the batch, so that neither the learning "
            "rate nor the values depend on its size; leave reduction at mean"
        )
    for loss_class in type(criterion).__mro__:
        if loss_class in _CONTRACTS:
            return _CONTRACTS[loss_class]
    known = ", ".join(sorted(registered.__name__ for registered in _CONTRACTS))
    raise ValueError(
        f"{name}: no contract says what targets this loss takes; known are {known}; for another, call "
        f"lit_lossopt.losses.register_loss({name}, LossContract(...)) in the module that defines it"
    )


register_loss(nn.CrossEntropyLoss, LossContract(class_indices, one_per_class, softmax))
register_loss(nn.BCEWithLogitsLoss, LossContract(binary_or_one_hot, one_if_binary, sigmoid_normalised))
register_loss(nn.MSELoss, LossContract(one_hot, one_per_class, clipped_normalised))
