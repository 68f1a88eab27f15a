"""Parameter groups: which values a weight decay pulls towards zero, and what else a group may set apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

OptimizerCallable = Callable[[Iterable[Any]], torch.optim.Optimizer]


def parameter_groups(network: nn.Module, *, decay_biases: bool) -> list[dict[str, Any]]:
    """Return the groups for an optimizer: one, or weights apart from biases and norms, which then do not decay.

    Biases, and the scales and shifts of normalisation layers, are exactly the parameters of at most one dimension.

    Args:
        network: the network to train.
        decay_biases: whether the optimizer's weight decay acts on biases and norms too (torch's own behaviour).

    Raises:
        ValueError: the network has no trainable parameters.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(network).__name__} has no trainable parameters")
    if decay_biases:
        return [{"name": "all", "params": parameters}]
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"name": "weights", "params": weights},
        {"name": "biases_and_norms", "params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(optimizer: OptimizerCallable, network: nn.Module, *, decay_biases: bool) -> torch.optim.Optimizer:
    """Return the optimizer over the network's parameter groups.

    Raises:
        ValueError: the optimizer refuses its arguments, for example a negative learning rate.
    """
    built = optimizer(parameter_groups(network, decay_biases=decay_biases))
    if isinstance(built, torch.optim.SparseAdam):
        raise ValueError("SparseAdam updates only sparse gradients, which images do not give; take Adam")  # noqa: TRY004
    return built
