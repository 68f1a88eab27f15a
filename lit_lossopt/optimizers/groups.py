"""Parameter groups, and an optimizer built over them.

A network and a loss come in. Groups may differ in weight decay and in learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lit_lossopt.networks.backbone import Backbone

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
# Name of the group that holds a loss's own parameters.
OF_LOSS = "criterion"


def parameter_groups(
    network: nn.Module, *, decay_biases: bool, backbone_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Return the parameter groups for an optimizer.

    There is one group, or weights stand apart from biases and norms, which then do not decay. Biases, and the scales
    and shifts of normalisation layers, are exactly the parameters of at most one dimension. With a factor other than 1
    there are such groups for the backbone, and behind them for the head.

    >>> [group["name"] for group in parameter_groups(nn.Linear(2, 3), decay_biases=False)]
    ['weights', 'biases_and_norms']

    Args:
        network: the network to train.
        decay_biases: whether the optimizer's weight decay acts on biases and norms too, as torch has it.
        backbone_lr_factor: the backbone's learning rate as a multiple of the head's.

    Raises:
        ValueError: the network has no trainable parameters, or names no head where one is needed.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(network).__name__} has no trainable parameters")
    if backbone_lr_factor == 1:
        return _by_decay("", parameters, decay_biases=decay_biases)
    backbone = Backbone(network).parameters
    behind = {id(parameter) for parameter in backbone}
    head = [parameter for parameter in parameters if id(parameter) not in behind]
    slower = _by_decay("backbone", backbone, decay_biases=decay_biases)
    return [
        *({**group, "lr_factor": backbone_lr_factor} for group in slower),
        *_by_decay("head", head, decay_biases=decay_biases),
    ]


def _by_decay(part: str, parameters: list[nn.Parameter], *, decay_biases: bool) -> list[dict[str, Any]]:
    if decay_biases:
        return [{"name": part or "all", "params": parameters}]
    prefix = f"{part}_" if part else ""
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"name": f"{prefix}weights", "params": weights},
        {"name": f"{prefix}biases_and_norms", "params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def loss_groups(criterion: nn.Module) -> list[dict[str, Any]]:
    """Return the group of a loss's own parameters.

    Such a parameter is a learned temperature. The list is empty for a loss without parameters. They learn at the
    optimizer's rate. They do not decay, because a temperature or a class's direction is not the better for being small.

    >>> loss_groups(nn.CrossEntropyLoss())
    []
    """
    parameters = [parameter for parameter in criterion.parameters() if parameter.requires_grad]
    return [{"name": OF_LOSS, "params": parameters, "weight_decay": 0.0}] if parameters else []


def build_optimizer(
    optimizer: OptimizerCallable,
    network: nn.Module,
    criterion: nn.Module | None = None,
    *,
    decay_biases: bool,
    backbone_lr_factor: float = 1.0,
) -> Optimizer:
    """Return the optimizer over network and loss.

    Groups of the backbone get their own rate.

    >>> build_optimizer(torch.optim.SGD, nn.Linear(2, 3), decay_biases=True).param_groups[0]["lr"]
    0.001

    Raises:
        ValueError: the optimizer refuses its arguments, for example a negative learning rate.
    """
    groups = parameter_groups(network, decay_biases=decay_biases, backbone_lr_factor=backbone_lr_factor)
    learned = loss_groups(criterion) if criterion else []
    try:
        built = optimizer([*groups, *learned])
    except ValueError as error:
        if "parameter groups" not in str(error):
            raise
        reasons = ["leave backbone_lr_factor at 1 and decay_biases at true"] if len(groups) > 1 else []
        reasons += [f"{type(criterion).__name__} has parameters of its own, which need one"] if learned else []
        raise ValueError(f"{error}: {'; '.join(reasons)}" if reasons else str(error)) from error
    _scale_rates(built)
    if isinstance(built, torch.optim.SparseAdam):
        raise ValueError("SparseAdam updates only sparse gradients, which images do not give; take Adam")  # noqa: TRY004
    if isinstance(built, torch.optim.LBFGS):
        # It flattens weights and gradients as views, which channels_last does not allow.
        network.to(memory_format=torch.contiguous_format)
    return built


def has_rate(group: dict[str, Any]) -> bool:
    """Return True if a group has a learning rate.

    Some optimizers find their own step and have none.

    >>> has_rate({"lr": 0.1}), has_rate({"lr": None})
    (True, False)
    """
    return group.get("lr") is not None


def _scale_rates(built: Optimizer) -> None:
    """Multiply each group's learning rate by its factor."""
    for group in built.param_groups:
        factor = group.get("lr_factor", 1.0)
        if has_rate(group):
            # Not in place: groups may share a tensor.
            group["lr"] = group["lr"] * factor
        elif factor != 1:
            raise ValueError(f"{type(built).__name__} has no learning rate; leave backbone_lr_factor at 1")
