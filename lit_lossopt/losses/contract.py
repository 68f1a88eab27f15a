"""One contract for every loss.

A contract says which targets a loss takes, how many outputs it needs and which probabilities it implies. Labels are
class indices everywhere. A loss that wants something else says so here, once, and the training code never asks which
loss it has. To add a loss, write its class (or take any ``nn.Module``) and register it:

    register_loss(MyLoss, LossContract(one_hot, one_per_class, probabilities=None))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EncodeTargets = Callable[[Tensor, Tensor], Tensor]
EncodeOutputs = Callable[[Tensor], Tensor]
NumOutputs = Callable[[int], int]
Probabilities = Callable[[Tensor], Tensor]


def unchanged(outputs: Tensor) -> Tensor:
    """Return outputs ``[N, M]`` as they are.

    >>> unchanged(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """
    return outputs


@dataclass(frozen=True)
class LossContract:
    """How a loss meets class labels.

    Attributes:
        encode_targets: (labels ``[N]`` int64, outputs ``[N, M]``) → the targets that the loss takes.
        num_outputs: number of classes K → outputs M that the network's last layer needs.
        probabilities: outputs ``[N, M]`` → class probabilities ``[N, K]`` that the loss implies. None means that it
            implies none.
        encode_outputs: outputs ``[N, M]`` → what the loss takes in their place. By default they stay as they are.
        source: the paper or formula.
        encode_soft: (class probabilities ``[N, K]``, outputs ``[N, M]``) → targets, for mixed images. None means that
            the loss takes no soft labels.

    >>> from lit_lossopt.losses import one_hot, one_per_class, softmax
    >>> contract = LossContract(one_hot, one_per_class, softmax)
    >>> contract.targets(torch.tensor([1]), torch.zeros(1, 3))
    tensor([[0., 1., 0.]])
    """

    encode_targets: EncodeTargets
    num_outputs: NumOutputs
    probabilities: Probabilities | None
    encode_outputs: EncodeOutputs = unchanged
    source: str = ""
    encode_soft: EncodeTargets | None = None

    def targets(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the targets for class indices ``[N]`` or for class probabilities ``[N, K]``.

        Raises:
            ValueError: the loss takes no soft labels.
        """
        if labels.ndim == 1:
            return self.encode_targets(labels, outputs)
        if self.encode_soft is None:
            raise ValueError("takes no soft labels, which mixed images have; leave out data.mixing")
        return self.encode_soft(labels, outputs)


_CONTRACTS: dict[type[nn.Module], LossContract] = {}


def register_loss(loss_class: type[nn.Module], contract: LossContract) -> None:
    """Make a loss and its subclasses known.

    The last registration of a class wins.

    >>> from lit_lossopt.losses import one_hot, one_per_class
    >>> class HalfSquare(nn.MSELoss): ...
    >>> register_loss(HalfSquare, LossContract(one_hot, one_per_class, None))
    >>> contract_of(HalfSquare()).num_outputs(10)
    10
    """
    _CONTRACTS[loss_class] = contract


def contract_of(criterion: nn.Module) -> LossContract:
    """Return the contract of a loss, or of the nearest class that it derives from.

    >>> contract_of(nn.BCEWithLogitsLoss()).num_outputs(2)
    1

    Raises:
        ValueError: the loss is not registered, or it does not average over the batch.
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


def registered_losses() -> dict[str, LossContract]:
    """Return name → contract of every known loss, sorted by name.

    >>> registered_losses()["FocalLoss"].source
    'Lin et al. 2017'
    """
    return dict(sorted((loss_class.__name__, contract) for loss_class, contract in _CONTRACTS.items()))


def loss_of(criterion: nn.Module, contract: LossContract, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of outputs ``[N, M]`` for labels ``[N]``, or ``[N, K]`` where images are mixed.

    >>> criterion = nn.MSELoss()
    >>> loss_of(criterion, contract_of(criterion), torch.zeros(1, 4), torch.tensor([3]))
    tensor(0.2500)
    """
    if outputs.dtype in (torch.float16, torch.bfloat16):
        # A loss is a sum of many terms: half precision would overflow in some losses and not in others.
        outputs = outputs.float()
    targets = contract.targets(labels, outputs)
    return computed(criterion, contract.encode_outputs(outputs), targets)


def computed(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the value of a loss, which learns nothing from it in evaluation mode.

    Some losses keep statistics in buffers at each call. The number of evaluations must not change a training.

    >>> computed(nn.L1Loss().eval(), torch.tensor([1.0, 3.0]), torch.zeros(2))
    tensor(2.)
    """
    kept = []
    if not criterion.training:
        buffers = ((part, name, buffer) for part in criterion.modules() for name, buffer in part._buffers.items())  # noqa: SLF001  # the dictionary that an assignment changes
        kept = [(part, name, buffer, buffer.clone()) for part, name, buffer in buffers if buffer is not None]
    loss: Tensor = criterion(inputs, targets)
    for part, name, buffer, before in kept:
        part._buffers[name] = buffer.copy_(before)  # noqa: SLF001  # as above
    return loss
