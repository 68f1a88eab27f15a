"""How near an optimizer is to the edge of stability.

On a quadratic with Hessian H, an update w ← w − D·(momentum of gradients) with a diagonal D of rates stays stable while
the largest eigenvalue of D^½ (H + decay) D^½ is below a number that the optimizer's momentum alone decides. The
**stability needle** is that eigenvalue over that number: 1 is the edge.

Sources: Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability" (gradient
descent, heavy ball, Nesterov); Cohen et al. 2022, "Adaptive Gradient Methods at the Edge of Stability" (Adam and
RMSprop, on the preconditioned Hessian).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from lit_lossopt.diagnostics.sharpness import Product
from lit_lossopt.optimizers import SGDW

Group = dict[str, Any]


@dataclass(frozen=True)
class Stability:
    """What decides whether an optimizer is stable on a quadratic.

    Attributes:
        rates: for each parameter its diagonal of D, as a number or a tensor of the parameter's shape.
        decays: for each parameter what is added to the Hessian's diagonal.
        edge: the number that the largest eigenvalue has to stay below.
    """

    rates: tuple[float | Tensor, ...]
    decays: tuple[float, ...]
    edge: float

    def needle(self, eigenvalue: float) -> float | None:
        """Return the needle from the Hessian's own largest eigenvalue.

        It is None where parameters have rates or decays of their own, so that this eigenvalue does not tell.
        """
        rate, decay = self.rates[0], self.decays[0]
        if isinstance(rate, Tensor) or any(isinstance(other, Tensor) or other != rate for other in self.rates):
            return None
        return rate * (eigenvalue + decay) / self.edge if set(self.decays) == {decay} else None

    def product(self, product: Product, parameters: Sequence[Tensor]) -> Product:
        """Return the function v → D^½ (H + decay) D^½ v, from that of H."""
        roots = torch.cat([_filled(rate, p).sqrt() for rate, p in zip(self.rates, parameters, strict=True)])
        decays = torch.cat([_filled(decay, p) for decay, p in zip(self.decays, parameters, strict=True)])

        def preconditioned(vector: Tensor) -> Tensor:
            scaled = roots * vector
            return roots * (product(scaled) + decays * scaled)

        return preconditioned


def stability_of(optimizer: Optimizer, parameters: Sequence[Tensor]) -> Stability | None:
    """Return what decides the optimizer's stability at its present state.

    None: its rule is not known here, its groups have different momentum, or it has not taken a step.

    Args:
        optimizer: with the state behind some step.
        parameters: the trainable ones that the Hessian is taken of.
    """
    rule = RULES.get(type(optimizer))
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    if rule is None or not parameters or any(id(parameter) not in groups for parameter in parameters):
        return None
    try:
        found = [rule(groups[id(p)], optimizer.state.get(p, {})) for p in parameters]
    except KeyError:
        # No step was taken yet, or this parameter had no gradient.
        return None
    edges = {edge for _, _, edge in found}
    if len(edges) != 1:
        return None
    return Stability(tuple(rate for rate, _, _ in found), tuple(decay for _, decay, _ in found), edges.pop())


def _sgd(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    beta = group["momentum"]
    edge = 2 * (1 + beta) / (1 + 2 * beta) if group["nesterov"] else 2 * (1 + beta)
    decay = 0.0 if group.get("decoupled") else group["weight_decay"]
    return float(group["lr"]) * (1 - (group["dampening"] if beta else 0)), float(decay), edge


def _sgdw(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    return _sgd({**group, "decoupled": True}, state)


def _adam(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    beta1, beta2 = map(float, group["betas"])
    step = float(state["step"])
    squares = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    root = (squares / (1 - beta2**step)).sqrt() + group["eps"]
    decay = 0.0 if group.get("decoupled_weight_decay") else float(group["weight_decay"])
    return float(group["lr"]) / ((1 - beta1**step) * root), decay, 2 * (1 + beta1) / (1 - beta1)


def _adamw(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    return _adam({**group, "decoupled_weight_decay": True}, state)


def _rmsprop(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    squares = state["square_avg"]
    if group["centered"]:
        squares = squares - state["grad_avg"] ** 2
    rate = float(group["lr"]) / (squares.sqrt() + group["eps"])
    return rate, float(group["weight_decay"]), 2 * (1 + group["momentum"])


def _adagrad(group: Group, state: Any) -> tuple[float | Tensor, float, float]:
    slowed = 1 + (float(state["step"]) - 1) * group["lr_decay"]
    return float(group["lr"]) / slowed / (state["sum"].sqrt() + group["eps"]), float(group["weight_decay"]), 2.0


Rule = Callable[[Group, Any], tuple[float | Tensor, float, float]]
# Class → (rates, decay, edge) of one parameter, from its group and its state. A new optimizer is one row.
RULES: dict[type[Optimizer], Rule] = {
    optim.SGD: _sgd,
    SGDW: _sgdw,
    optim.Adam: _adam,
    optim.AdamW: _adamw,
    optim.RMSprop: _rmsprop,
    optim.Adagrad: _adagrad,
}


def _filled(value: float | Tensor, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().flatten()
    return torch.full((like.numel(),), value, dtype=like.dtype, device=like.device)
