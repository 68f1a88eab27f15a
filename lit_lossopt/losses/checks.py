"""Refusal of a loss and targets that do not fit, on the first batch.

torch itself is silent about several such cases. A check takes what the loss is about to be given, (inputs, targets),
and returns what is wrong with it, or None. Checks belong to classes of losses and not to a contract, so that they also
catch a contract that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lit_lossopt.core.errors import described
from lit_lossopt.losses import FocalLoss, HingeLoss, LossContract, SquaredHingeLoss, SquentropyLoss, computed

# Enough examples to see whether a loss is a sum. Some losses compare each example with each, so more would take long.
FEW = 16
Check = Callable[[nn.Module, Tensor, Tensor], str | None]


def same_shape(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find shapes that differ.

    (N, 1) against (N,) would be broadcast to (N, N), and the loss of every pair would be averaged.

    >>> same_shape(nn.MSELoss(), torch.zeros(4, 1), torch.zeros(4))
    'outputs [4, 1] and targets [4] differ in shape and would be broadcast'
    """
    if inputs.shape == targets.shape:
        return None
    return f"outputs {list(inputs.shape)} and targets {list(targets.shape)} differ in shape and would be broadcast"


def in_unit_interval(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find targets outside [0, 1], for which binary cross-entropy has no minimum.

    >>> in_unit_interval(nn.BCEWithLogitsLoss(), torch.zeros(2, 1), torch.tensor([[0.0], [2.0]]))
    'targets reach from 0 to 2, not within 0 and 1'
    """
    low, high = float(targets.min()), float(targets.max())
    return None if low >= 0 and high <= 1 else f"targets reach from {low:g} to {high:g}, not within 0 and 1"


def plus_or_minus_one(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find targets other than ±1.

    A target of 0 would take the example out of a margin loss.

    >>> plus_or_minus_one(HingeLoss(), torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]))
    'targets are not all +1 or −1'
    """
    return None if bool((targets.abs() == 1).all()) else "targets are not all +1 or −1"


def distributions(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find float targets that are no probabilities of the classes.

    >>> distributions(nn.CrossEntropyLoss(), torch.zeros(1, 2), torch.tensor([[0.5, 0.9]]))
    'rows of the targets do not sum to one'
    """
    if not targets.is_floating_point():
        return None
    if getattr(criterion, "log_target", False):
        return "log_target=true wants logarithms, and a class that is not there has none"
    sums = targets.float().sum(dim=1)
    return (
        None
        if torch.allclose(sums, torch.ones_like(sums), atol=_tolerance(targets))
        else "rows of the targets do not sum to one"
    )


def unweighted_if_soft(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find class weights beside soft targets.

    For class indices torch divides by the sum of the weights, for probabilities by the number of examples.

    >>> weighted = nn.CrossEntropyLoss(weight=torch.ones(2))
    >>> unweighted_if_soft(weighted, torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]))
    "weight with mixed images would change the loss's scale; leave out weight, or data.mixing"
    """
    if targets.is_floating_point() and getattr(criterion, "weight", None) is not None:
        return "weight with mixed images would change the loss's scale; leave out weight, or data.mixing"
    return None


def log_probabilities(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find inputs that are no log-probabilities.

    With raw outputs in their place the loss has no minimum.

    >>> log_probabilities(nn.NLLLoss(), torch.zeros(1, 2), torch.tensor([0]))
    'inputs are not log-probabilities'
    """
    sums = inputs.float().logsumexp(dim=1)
    return (
        None
        if torch.allclose(sums, torch.zeros_like(sums), atol=_tolerance(inputs))
        else "inputs are not log-probabilities"
    )


def some_label_counts(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Find a batch whose labels are all ignored.

    The mean of nothing would be NaN.

    >>> some_label_counts(nn.CrossEntropyLoss(), torch.zeros(1, 2), torch.tensor([-100]))
    'all labels equal ignore_index=-100'
    """
    ignored = getattr(criterion, "ignore_index", -100)
    if targets.is_floating_point() or bool((targets != ignored).any()):
        return None
    return f"all labels equal ignore_index={ignored}"


CHECKS: dict[type[nn.Module], tuple[Check, ...]] = {
    nn.CrossEntropyLoss: (some_label_counts, distributions, unweighted_if_soft),
    nn.NLLLoss: (log_probabilities, some_label_counts),
    nn.KLDivLoss: (same_shape, log_probabilities, distributions),
    nn.BCEWithLogitsLoss: (same_shape, in_unit_interval),
    nn.SoftMarginLoss: (same_shape, plus_or_minus_one),
    HingeLoss: (same_shape, plus_or_minus_one),
    SquaredHingeLoss: (same_shape, plus_or_minus_one),
    nn.MSELoss: (same_shape,),
    nn.L1Loss: (same_shape,),
    nn.SmoothL1Loss: (same_shape,),
    nn.HuberLoss: (same_shape,),
    nn.MultiMarginLoss: (),
    FocalLoss: (),
    SquentropyLoss: (),
}


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules into evaluation mode, and afterwards each of their parts back into its own mode.

    >>> layer = nn.Dropout()
    >>> with evaluating(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_first_batch(
    criterion: nn.Module, contract: LossContract, outputs: Tensor, labels: Tensor, num_classes: int
) -> None:
    """Raise ValueError if loss, labels and outputs do not fit together.

    >>> from lit_lossopt.losses import contract_of
    >>> criterion = nn.MSELoss(reduction="mean")
    >>> check_first_batch(criterion, contract_of(criterion), torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]), 3)

    Args:
        criterion: the loss.
        contract: the contract of the loss.
        outputs: the network's outputs for a batch.
        labels: the batch's class indices, or class probabilities where images are mixed.
        num_classes: number of classes K.

    Raises:
        ValueError: something does not fit. The message says what, why, and what to do.
    """
    name = type(criterion).__name__
    ignored = getattr(criterion, "ignore_index", None)
    if ignored is not None and 0 <= ignored < num_classes:
        raise ValueError(
            f"{name} with ignore_index={ignored}: that class would never be trained and still be evaluated; leave it "
            "out of the data with data.classes"
        )
    _check_labels(labels, num_classes)
    wanted = [len(labels), contract.num_outputs(num_classes)]
    if wanted[1] != num_classes and (wanted[1], num_classes) != (1, 2):
        raise ValueError(
            f"{name}: its contract asks for {wanted[1]} outputs on {num_classes} classes, but the predicted class is "
            f"the largest of {num_classes} outputs; have a loss of embeddings take as many as there are classes"
        )
    if list(outputs.shape) != wanted:
        raise ValueError(
            f"model.network gives outputs {list(outputs.shape)} for {len(labels)} images; {name} on {num_classes} "
            f"classes needs {wanted}: give the network a head of that size"
        )
    try:
        inputs, targets = contract.encode_outputs(outputs), contract.targets(labels, outputs)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
    except Exception as error:
        raise ValueError(f"model.criterion={name}: its contract fails on a first batch: {described(error)}") from error
    for loss_class, checks in CHECKS.items():
        for check in checks if isinstance(criterion, loss_class) else ():
            problem = check(criterion, inputs, targets)
            if problem:
                raise ValueError(f"{name}: {problem}; mend the targets in its contract (register_loss)")
    _check_value(criterion, inputs, targets)


def _check_value(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    """Raise ValueError if the loss is not one finite number, or not a mean over the batch."""
    name = type(criterion).__name__
    loss = _value(criterion, inputs, targets)
    if not isinstance(loss, Tensor):
        raise ValueError(f"{name} gives a {type(loss).__name__}; a loss is one number, as a tensor")  # noqa: TRY004  # of a config
    if loss.ndim:
        raise ValueError(f"{name} gives {list(loss.shape)} values for a batch; a loss is one number: use its mean")
    if not bool(torch.isfinite(loss)):
        raise ValueError(f"{name} is {float(loss)} on the first batch, before any step; check labels and weights")
    _check_mean(criterion, inputs[:FEW], targets[:FEW])


def _check_mean(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    """Raise ValueError if the loss is a sum, which doubles when each example is given twice."""
    once = float(_value(criterion, inputs, targets))
    twice = float(_value(criterion, torch.cat([inputs, inputs]), torch.cat([targets, targets])))
    if abs(once) > _tolerance(inputs) and abs(twice / once - 2) < _tolerance(inputs):
        raise ValueError(
            f"{type(criterion).__name__} of a batch given twice is twice that of the batch: it adds up over the batch; "
            "a loss here is a mean, so that neither the learning rate nor the values depend on the batch's size"
        )


def _value(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    try:
        return computed(criterion, inputs, targets)
    except Exception as error:
        name = type(criterion).__name__
        raise ValueError(f"model.criterion={name} fails on a first batch: {described(error)}") from error


def _tolerance(values: Tensor) -> float:
    """Return the largest error by rounding, in the values' dtype, of a sum over classes."""
    return max(1e-4, 20 * torch.finfo(values.dtype).eps)


def _check_labels(labels: Tensor, num_classes: int) -> None:
    if labels.ndim == 2 and labels.is_floating_point() and labels.shape[1] == num_classes:
        return
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype} {list(labels.shape)}; class indices are int64 of one dimension")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise ValueError(f"label {int(outside[0])} is not among the {num_classes} classes, 0 to {num_classes - 1}")
