"""Keras' optimizers for torch, with Keras' names and defaults.

Each takes what ``Common`` names, too: ``weight_decay``, ``clipnorm``, ``clipvalue`` and ``global_clipnorm``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

import torch
from torch import Tensor

from lit_lossopt.keras_twin.keras_rule_base import Common, KerasRule, cast, moved, unbias


class KerasSGD(KerasRule):
    """SGD whose learning rate stands inside the velocity.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> weight.grad = torch.tensor([2.0])
    >>> optimizer = KerasSGD([weight], learning_rate=0.25, momentum=0.5)
    >>> optimizer.step()
    >>> optimizer.param_groups[0]["lr"] = 0.0
    >>> optimizer.step()  # 1 − 0.25 × 2, and then half of that step again
    >>> weight.data
    tensor([0.2500])

    Source: keras/src/optimizers/sgd.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be between 0 and 1, but it is {momentum}")
        super().__init__(params, learning_rate, {"momentum": momentum, "nesterov": nesterov}, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum": 0.0} if group["momentum"] else {}

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        push = gradient * rate
        if not group["momentum"]:
            return push
        momentum = cast(group["momentum"], gradient)
        velocity = state["momentum"].mul_(momentum).add_(push)
        return velocity * momentum + push if group["nesterov"] else velocity


class KerasAdam(KerasRule):
    """Adam with ε beside the root that is not corrected.

    Source: keras/src/optimizers/adam.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        rule = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "amsgrad": amsgrad}
        super().__init__(params, learning_rate, rule, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return dict.fromkeys(["momentum", "velocity", *(["velocity_hat"] if group["amsgrad"] else [])], 0.0)

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        beta_1, beta_2 = group["beta_1"], group["beta_2"]
        epsilon: float = group["epsilon"]
        alpha = rate * unbias(beta_2, group, gradient).sqrt() / unbias(beta_1, group, gradient)
        mean = moved(state["momentum"], gradient, 1 - beta_1)
        square = moved(state["velocity"], gradient.square(), 1 - beta_2)
        if group["amsgrad"]:
            square = torch.maximum(state["velocity_hat"], square, out=state["velocity_hat"])
        return mean * alpha / (square.sqrt() + epsilon)


class KerasAdamW(KerasAdam):
    """Adam that decays by .004 where nothing else is said.

    Source: keras/src/optimizers/adamw.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        if weight_decay is None:
            raise ValueError("weight_decay must be a number; KerasAdam takes none")
        common = Common(
            weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm
        )
        super().__init__(params, learning_rate, beta_1, beta_2, epsilon, amsgrad, **common)


class KerasRMSprop(KerasRule):
    """RMSprop with ε inside the root, and the rate inside the momentum.

    Source: keras/src/optimizers/rmsprop.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Unpack[Common],
    ) -> None:
        rule = {"rho": rho, "momentum": momentum, "epsilon": epsilon, "centered": centered}
        super().__init__(params, learning_rate, rule, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        names = ["velocity", "momentum" * (group["momentum"] > 0), "average_gradient" * group["centered"]]
        return dict.fromkeys(filter(None, names), 0.0)

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        rho = group["rho"]
        square = state["velocity"].mul_(rho).add_((1 - rho) * gradient.square())
        if group["centered"]:
            square = square - state["average_gradient"].mul_(rho).add_((1 - rho) * gradient).square()
        change = rate * gradient / (square + group["epsilon"]).sqrt()
        return state["momentum"].mul_(group["momentum"]).add_(change) if "momentum" in state else change


class KerasNadam(KerasRule):
    """Adam with Nesterov momentum, which warms up by .96^t.

    Source: keras/src/optimizers/nadam.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        rule = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "u_product": 1.0}
        super().__init__(params, learning_rate, rule, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def _begin(self, group: dict[str, Any]) -> None:
        dtype = group["params"][0].dtype
        step = torch.tensor(group["iterations"], dtype=dtype)
        product = torch.tensor(group["u_product"], dtype=dtype) * group["beta_1"] * (1 - 0.5 * 0.96**step)
        group["u_product"] = product.item()

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        beta_1, beta_2, decay = (cast(number, gradient) for number in (group["beta_1"], group["beta_2"], 0.96))
        epsilon: float = group["epsilon"]
        step = torch.tensor(group["iterations"], dtype=gradient.dtype)
        now, after = (beta_1 * (1 - 0.5 * decay**at) for at in (step, step + 1))
        product = torch.tensor(group["u_product"], dtype=gradient.dtype)
        mean = moved(state["momentum"], gradient, 1 - beta_1)
        square = moved(state["velocity"], gradient.square(), 1 - beta_2)
        looking = after * mean / (1 - product * after) + (1 - now) * gradient / (1 - product)
        return looking * rate / ((square / (1 - beta_2**step)).sqrt() + epsilon)


class KerasAdagrad(KerasRule):
    """Adagrad whose sum starts at .1, with ε inside the root.

    Source: keras/src/optimizers/adagrad.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        rule = {"initial_accumulator_value": initial_accumulator_value, "epsilon": epsilon}
        super().__init__(params, learning_rate, rule, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"accumulator": group["initial_accumulator_value"]}

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        epsilon: float = group["epsilon"]
        return rate * gradient / (state["accumulator"].add_(gradient.square()) + epsilon).sqrt()


class KerasAdadelta(KerasRule):
    """Adadelta, at a thousandth of its authors' rate.

    Source: keras/src/optimizers/adadelta.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, learning_rate, {"rho": rho, "epsilon": epsilon}, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        rho: float = group["rho"]
        epsilon: float = group["epsilon"]
        squares, deltas = state["accumulated_grad"], state["accumulated_delta_var"]
        squares.mul_(rho).add_((1 - rho) * gradient.square())
        delta = (deltas + epsilon).sqrt() * gradient / (squares + epsilon).sqrt()
        deltas.mul_(rho).add_((1 - rho) * delta.square())
        return rate * delta


class KerasAdamax(KerasRule):
    """Adamax with ε outside the largest gradient.

    Source: keras/src/optimizers/adamax.py (3.15).
    """

    def __init__(
        self,
        params: Iterable[Any],
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, learning_rate, {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}, common)

    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        epsilon: float = group["epsilon"]
        mean = moved(state["momentum"], gradient, 1 - group["beta_1"])
        largest = torch.maximum(state["norm"].mul_(group["beta_2"]), gradient.abs(), out=state["norm"])
        return rate * mean / (unbias(group["beta_1"], group, gradient) * (largest + epsilon))
