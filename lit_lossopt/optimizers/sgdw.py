"""SGD with decoupled weight decay, which torch does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import SGD

from lit_lossopt.optimizers.closure import evaluated


class SGDW(SGD):
    """SGD with decoupled weight decay.

    At each step weights shrink by the factor 1 − lr × weight_decay, apart from gradient and momentum. With SGD's own
    ``weight_decay`` (L2) the decay passes through the momentum buffer.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> weight.grad = torch.tensor([2.0])
    >>> SGDW([weight], lr=0.1, weight_decay=0.5).step()  # 1 × (1 − 0.1 × 0.5) − 0.1 × 2
    >>> weight.data
    tensor([0.7500])

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: momentum factor.
        weight_decay: decay per unit of learning rate.
        nesterov: whether to use Nesterov momentum.

    Source: Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 1 (without its schedule).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.01,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one form
        """Shrink the weights, then step without SGD's own decay."""
        loss = evaluated(closure)
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        return loss
