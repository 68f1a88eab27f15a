"""Optimizers that torch does not have, parameter groups, and schedules.

A network comes in. Parameter groups, an optimizer and its schedule go out. A further optimizer is a class in a file of
its own here. A config names it by its bare name.
"""

from lit_lossopt.optimizers.given import GivenOptimizer, GivenSchedule
from lit_lossopt.optimizers.groups import (
    OptimizerCallable,
    build_optimizer,
    has_rate,
    loss_groups,
    parameter_groups,
)
from lit_lossopt.optimizers.muon import Muon
from lit_lossopt.optimizers.sgdw import SGDW

__all__ = [
    "SGDW",
    "GivenOptimizer",
    "GivenSchedule",
    "Muon",
    "OptimizerCallable",
    "build_optimizer",
    "has_rate",
    "loss_groups",
    "parameter_groups",
]
