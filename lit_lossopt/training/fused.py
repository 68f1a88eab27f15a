"""Optimizers that update all weights by one kernel, which torch has for some of its own."""

from __future__ import annotations

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

_HAVE_KERNELS = (SGD, Adam, AdamW)


def fused(optimizer: Optimizer, device: torch.device) -> Optimizer:
    """Return the optimizer, fused where it trains on a GPU.

    What was asked for stays: ``fused`` and ``foreach`` of the optimizer's own arguments win. On a CPU nothing changes.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> [fused(SGD([weight]), torch.device(kind)).defaults["fused"] for kind in ("cpu", "cuda")]
    [None, True]
    """
    if device.type == "cuda" and type(optimizer) in _HAVE_KERNELS and _is_open(optimizer):
        for settings in (optimizer.defaults, *optimizer.param_groups):
            settings["fused"] = True
    return optimizer


def _is_open(optimizer: Optimizer) -> bool:
    groups = optimizer.param_groups
    asked = any(group.get(name) is not None for group in groups for name in ("fused", "foreach"))
    special = any(group.get("differentiable") for group in groups)
    floats = all(weight.is_floating_point() for group in groups for weight in group["params"])
    return floats and not (asked or special)
