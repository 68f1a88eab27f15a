"""One contract for every loss.

It says what targets a loss takes, how many outputs it needs, and which probabilities it implies.

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
EncodeOutputs = Callable[[Tensor], Tensor]
NumOutputs = Callable[[int], int]
Probabilities = Callable[[Tensor], Tensor]


def unchanged(outputs: Tensor) -> Tensor:
    """Return outputs ``[N, M]`` as they are."""
    return outputs


@dataclass(frozen=True)
class LossContract:
    """How a loss meets class labels.

    Attributes:
        encode_targets: (labels ``[N]`` int64, outputs ``[N, M]``) → the targets that the loss takes.
        num_outputs: number of classes K → outputs M that the network's last layer needs.
        probabilities: outputs ``[N, M]`` → class probabilities ``[N, K]`` that the loss implies; None: it implies none.
        encode_outputs: outputs ``[N, M]`` → what the loss takes in their place; by default as they are.
        source: the paper or formula.
        encode_soft: (class probabilities ``[N, K]``, outputs ``[N, M]``) → targets, for mixed images; None: the loss
            takes no soft labels.
    """

    encode_targets: EncodeTargets
    num_outputs: NumOutputs
    probabilities: Probabilities | None
    encode_outputs: EncodeOutputs = unchanged
    source: str = ""
    encode_soft: EncodeTargets | None = None

    def targets(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the targets for labels.

        Labels are class indices ``[N]`` or class probabilities ``[N, K]``.

        Raises:
            ValueError: the loss takes no soft labels.
        """
        if labels.ndim == 1:
            return self.encode_targets(labels, outputs)
        if self.encode_soft is None:
            raise ValueError("takes no soft labels, which mixed images have; leave out data.mixing")
        return self.encode_soft(labels, outputs)


def class_indices(labels: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return labels ``[N]`` int64 as they are."""
    return labels


def one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return one-hot rows ``[N, M]`` in the outputs' dtype."""
    return functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)


def binary_or_one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return zeros and ones as floats.

    They are ``[N, 1]`` for a single logit, and one-hot rows ``[N, M]`` otherwise.
    """
    if outputs.shape[1] == 1:
        return labels.to(outputs.dtype).unsqueeze(1)
    return one_hot(labels, outputs)


def soft(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return class probabilities ``[N, K]`` in the outputs' dtype.

    For a single logit they are those of the second class, ``[N, 1]``.
    """
    return (labels[:, 1:] if outputs.shape[1] == 1 else labels).to(outputs.dtype)


def plus_minus_one(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return ±1 in the outputs' dtype.

    The shape is ``[N, 1]`` for a single output. Otherwise the class has +1 and the others have −1.
    """
    return binary_or_one_hot(labels, outputs) * 2 - 1


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
    """Return sigmoids as probabilities.

    They are (1 − p, p) for a single logit. Otherwise they are normalised over the classes (one-vs-rest).
    """
    if outputs.shape[1] == 1:
        return torch.cat([torch.sigmoid(-outputs), torch.sigmoid(outputs)], dim=1)
    return _normalised(torch.sigmoid(outputs))


def clipped_normalised(outputs: Tensor) -> Tensor:
    """Return outputs clipped to [0, 1] and normalised.

    They are uniform where all are clipped to zero.
    """
    return _normalised(outputs.clamp(0, 1))


def log_softmax(outputs: Tensor) -> Tensor:
    """Return log-probabilities ``[N, K]``."""
    return outputs.log_softmax(dim=1)


def predicted_classes(outputs: Tensor) -> Tensor:
    """Return the predicted class ``[N]`` as int64.

    It is the largest output, or the sign of a single logit.
    """
    return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)


def _normalised(scores: Tensor) -> Tensor:
    total = scores.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scores / total, 1 / scores.shape[1])


_CONTRACTS: dict[type[nn.Module], LossContract] = {}


def register_loss(loss_class: type[nn.Module], contract: LossContract) -> None:
    """Make a loss and its subclasses known.

    The last registration of a class wins.
    """
    _CONTRACTS[loss_class] = contract


def contract_of(criterion: nn.Module) -> LossContract:
    """Return the contract of a loss.

    It is found along the ancestry of the loss's class.

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


def loss_of(criterion: nn.Module, contract: LossContract, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of outputs ``[N, M]``.

    Labels are ``[N]``, or ``[N, K]`` where images are mixed.
    """
    if outputs.dtype in (torch.float16, torch.bfloat16):
        # A loss is a sum of many terms: half precision would overflow in some losses and not in others.
        outputs = outputs.float()
    targets = contract.targets(labels, outputs)
    return computed(criterion, contract.encode_outputs(outputs), targets)


def computed(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return what a loss makes of its inputs.

    In evaluation mode the loss learns nothing from them.

    Some losses keep statistics in buffers at each call. How often is evaluated must not change a training.
    """
    kept = []
    if not criterion.training:
        buffers = ((part, name, buffer) for part in criterion.modules() for name, buffer in part._buffers.items())  # noqa: SLF001  # the dictionary that an assignment changes
        kept = [(part, name, buffer, buffer.clone()) for part, name, buffer in buffers if buffer is not None]
    loss: Tensor = criterion(inputs, targets)
    for part, name, buffer, before in kept:
        part._buffers[name] = buffer.copy_(before)  # noqa: SLF001  # as above
    return loss


class FocalLoss(nn.Module):
    """Cross-entropy with little weight on easy examples.

    It is the mean of −(1 − p)^γ log p.

    Outputs ``[N, K]``, labels ``[N]`` int64; p is the softmax probability of the true class. γ = 0 is cross-entropy.

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
    """Cross-entropy plus the squares of the other outputs.

    It is −log p_y + Σ_{j≠y} z_j² / (K − 1), averaged over the examples.

    Outputs z ``[N, K]`` with K ≥ 2, labels y ``[N]`` int64.

    Source: Hui, Belkin, Wright 2023, "Cut your Losses with Squentropy", equation 2.
    """

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch."""
        wrong = outputs.scatter(1, labels.unsqueeze(1), 0.0).square().sum(dim=1)
        return functional.cross_entropy(outputs, labels) + wrong.mean() / (outputs.shape[1] - 1)


class HingeLoss(nn.Module):
    """The hinge loss, one-vs-rest for K > 2 classes.

    It is the mean of max(0, 1 − t z) over outputs z and targets t = ±1 of the same shape.

    (torch's HingeEmbeddingLoss is another function, and its MultiMarginLoss compares classes with each other.)

    Source: Cortes and Vapnik 1995, "Support-Vector Networks".
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over batch and outputs."""
        return (1 - targets * outputs).clamp_min(0).mean()


class SquaredHingeLoss(nn.Module):
    """The squared hinge loss.

    It is the mean of max(0, 1 − t z)² over outputs z and targets t = ±1 of the same shape.

    Source: Tang 2013, "Deep Learning using Linear Support Vector Machines", equation 5.
    """

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over batch and outputs."""
        return (1 - targets * outputs).clamp_min(0).square().mean()


def registered_losses() -> dict[str, LossContract]:
    """Return the contract of every known loss by name.

    Names are sorted.
    """
    return dict(sorted((loss_class.__name__, contract) for loss_class, contract in _CONTRACTS.items()))


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
