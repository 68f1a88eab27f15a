"""Checks of a loss on the first batch.

Torch itself is silent about several losses and targets that do not fit.

A check takes what the loss is about to be given, (inputs, targets), and returns what is wrong with it, or None. Checks
belong to torch's loss classes and not to a contract, so that they also catch a contract that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lit_lossopt.core.errors import described
from lit_lossopt.losses import FocalLoss, HingeLoss, LossContract, SquaredHingeLoss, SquentropyLoss, computed

# Of so many examples it is asked whether a loss adds up: some compare each with each.
FEW = 16
Check = Callable[[nn.Module, Tensor, Tensor], str | None]


def same_shape(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Refuse outputs and targets of different shape.

    (N, 1) against (N,) broadcasts to (N, N), and the loss of every pair is averaged.
    """
    if inputs.shape == targets.shape:
        return None
    return f"outputs {list(inputs.shape)} and targets {list(targets.shape)} differ in shape and would be broadcast"


def in_unit_interval(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Outside [0, 1] binary cross-entropy has no minimum."""
    low, high = float(targets.min()), float(targets.max())
    return None if low >= 0 and high <= 1 else f"targets reach from {low:g} to {high:g}, not within 0 and 1"


def plus_or_minus_one(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Refuse targets other than +1 and −1.

    A target of 0 takes the example out of a margin loss.
    """
    return None if bool((targets.abs() == 1).all()) else "targets are not all +1 or −1"


def distributions(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Refuse float targets that are no probabilities.

    Each row must sum to one.
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
    """Refuse class weights together with soft targets.

    For class indices torch divides by the sum of the weights. For probabilities it divides by the number of examples.
    """
    if targets.is_floating_point() and getattr(criterion, "weight", None) is not None:
        return "weight with mixed images would change the loss's scale; leave out weight, or data.mixing"
    return None


def log_probabilities(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Refuse raw outputs in place of log-probabilities.

    They give a loss without a minimum.
    """
    sums = inputs.float().logsumexp(dim=1)
    return (
        None
        if torch.allclose(sums, torch.zeros_like(sums), atol=_tolerance(inputs))
        else "inputs are not log-probabilities"
    )


def some_label_counts(criterion: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """Refuse a batch in which every label is ignored.

    The mean is then one of nothing, NaN.
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
    """Put modules into evaluation mode for a while.

    Afterwards each is in the mode in which it was.
    """
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for module, training in zip(modules, modes, strict=True):
            module.train(training)


def check_first_batch(
    criterion: nn.Module, contract: LossContract, outputs: Tensor, labels: Tensor, num_classes: int
) -> None:
    """Refuse a loss, labels and outputs that do not fit.

    Args:
        criterion: the loss.
        contract: what it takes.
        outputs: the network's outputs for a batch.
        labels: the batch's class indices, or class probabilities where images are mixed.
        num_classes: number of classes K.

    Raises:
        ValueError: what does not fit, why, and what to do.
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
    """Refuse a value that is not one finite number.

    A sum over the batch in place of a mean is refused too.
    """
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
    """Refuse a sum over the batch.

    The same examples given twice would make it twice as large.
    """
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
    """Return what rounding can do to a sum over classes.

    It depends on the dtype of the values.
    """
    return max(1e-4, 20 * torch.finfo(values.dtype).eps)


def _check_labels(labels: Tensor, num_classes: int) -> None:
    if labels.ndim == 2 and labels.is_floating_point() and labels.shape[1] == num_classes:
        return
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype} {list(labels.shape)}; class indices are int64 of one dimension")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise ValueError(f"label {int(outside[0])} is not among the {num_classes} classes, 0 to {num_classes - 1}")
