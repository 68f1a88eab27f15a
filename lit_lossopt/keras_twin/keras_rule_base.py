"""What Keras' optimizers have in common, as torch optimizers: clipping, decay and the count of steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer

from lit_lossopt.optimizers.closure import evaluated


class Common(TypedDict, total=False):
    """What each of Keras' optimizers can be told.

    All are off where nothing is said. Only one kind of clipping can be on.
    """

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None


_OFF = Common(weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None)
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


class KerasRule(Optimizer, ABC):
    """One of Keras' update rules as a torch optimizer.

    A step clips gradients, shrinks each weight by lr × ``weight_decay`` and then updates it. Numbers are rounded where
    Keras on TensorFlow rounds them: powers are taken in the type of the weights, and Python's numbers often come
    through float32. A group's rate stands under ``lr``, where torch's schedulers look for it. A group with a
    ``weight_decay`` of 0 or None does not decay.

    Source: keras/src/optimizers/base_optimizer.py and keras/src/backend/tensorflow/optimizer.py (3.15).

    Args:
        params: parameters or groups.
        learning_rate: learning rate.
        rule: the rule's own hyperparameters.
        common: decay and clipping.

    Raises:
        ValueError: more than one kind of clipping is on.
    """

    def __init__(
        self, params: Iterable[Any], learning_rate: float, rule: Mapping[str, Any], common: Mapping[str, Any]
    ) -> None:
        if unknown := set(common) - set(_OFF):
            raise TypeError(f"not an argument of {type(self).__name__}: {', '.join(sorted(unknown))}")
        if sum(common.get(clip) is not None for clip in _CLIPS) > 1:
            raise ValueError(f"only one of {', '.join(_CLIPS)} can be set")
        super().__init__(params, {"lr": learning_rate, "iterations": 0, **rule, **_OFF, **common})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one form
        """Clip, decay and update what has a gradient."""
        loss = evaluated(closure)
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            scale = self._global_scale(gradients)
            for group in self.param_groups:
                self._step_group(group, scale)
        return loss

    def _step_group(self, group: dict[str, Any], scale: Tensor | None) -> None:
        # One count for all, as Keras has it: it runs on for a weight without a gradient.
        group["iterations"] += 1
        self._begin(group)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            gradient = parameter.grad if scale is None else parameter.grad * scale
            gradient = _clipped(gradient, group)
            rate = torch.as_tensor(group["lr"], dtype=parameter.dtype)
            if group["weight_decay"]:
                parameter.sub_(parameter * cast(group["weight_decay"], parameter) * rate)
            parameter.sub_(self._change(gradient, group, self._state_of(parameter, group), rate))

    def _state_of(self, parameter: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            for name, first in self._slots(group).items():
                state[name] = torch.full_like(parameter, cast(first, parameter).item())
        return state

    def _begin(self, group: dict[str, Any]) -> None:  # most keep nothing more
        """Update what a group keeps, before its weights."""

    @abstractmethod
    def _slots(self, group: Mapping[str, Any]) -> dict[str, float]:
        """Return what is kept for each weight, and what it starts from."""

    @abstractmethod
    def _change(self, gradient: Tensor, group: Mapping[str, Any], state: dict[str, Tensor], rate: Tensor) -> Tensor:
        """Update the state and return what is subtracted from the weight."""

    def _global_scale(self, gradients: list[Tensor]) -> Tensor | None:
        clip: float | None = self.defaults["global_clipnorm"]
        if not clip:
            return None
        norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
        # What is not finite becomes nan everywhere.
        return clip * torch.minimum(1 / norm, torch.full_like(norm, 1 / clip)) + (norm - norm)


def _clipped(gradient: Tensor, group: Mapping[str, Any]) -> Tensor:
    norm: float | None = group["clipnorm"]
    value: float | None = group["clipvalue"]
    if norm:
        return gradient * norm / gradient.square().sum().sqrt().clamp(min=norm)
    return gradient.clamp(-value, value) if value else gradient


def cast(number: float, like: Tensor) -> Tensor:
    """Return a number as Keras' ``ops.cast`` does on TensorFlow: by way of float32.

    >>> cast(0.1, torch.zeros((), dtype=torch.float64)).item()
    0.10000000149011612
    """
    return torch.tensor(number, dtype=torch.float32).to(like.dtype)


def unbias(beta: float, group: Mapping[str, Any], like: Tensor) -> Tensor:
    """Return 1 − βᵗ in the type of a weight."""
    return 1 - cast(beta, like) ** torch.tensor(group["iterations"], dtype=like.dtype)


def moved(kept: Tensor, target: Tensor, weight: float | Tensor) -> Tensor:
    """Move what is kept by a part of the way to a target, and return it."""
    return kept.add_((target - kept) * weight)
