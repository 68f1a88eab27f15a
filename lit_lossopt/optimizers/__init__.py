"""Optimizers that torch does not have, parameter groups, and schedules.

A network comes in. Parameter groups, an optimizer and its schedule go out.
"""

from lit_lossopt.optimizers.optimizers import (
    SGDW,
    Muon,
    OptimizerCallable,
    build_optimizer,
    has_rate,
    loss_groups,
    parameter_groups,
)

__all__ = [
    "SGDW",
    "Muon",
    "OptimizerCallable",
    "build_optimizer",
    "has_rate",
    "loss_groups",
    "parameter_groups",
]
