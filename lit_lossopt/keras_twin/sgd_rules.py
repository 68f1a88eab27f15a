"""torch's SGD, this project's SGDW and torch's RMSprop as Keras optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lit_lossopt.keras_twin.torch_rule_base import (
    DAMPENING,
    EPSILON,
    RATE,
    TorchRule,
    assigned,
    averaged_square,
    moved,
)


class TorchSGD(TorchRule):
    """SGD with momentum.

    torch keeps b ← μ b + g and subtracts lr × b. Keras keeps v ← μ v + lr × g and subtracts v, so that steps already
    in the velocity keep the rate that they were taken at.

    Sources: torch/optim/sgd.py (2.14), keras/src/optimizers/sgd.py (3.15).
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight: nothing without momentum."""
        return {"momentum_buffer": 0.0} if self._settings["momentum"] else {}

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        rate = tf.cast(rate, gradient.dtype)
        if not state:
            return rate * gradient
        momentum = tf.cast(self._number(self._settings["momentum"], gradient), gradient.dtype)
        inside = RATE in self._forms
        push = rate * gradient if inside else gradient
        buffer = state["momentum_buffer"]
        kept = assigned(buffer, momentum * buffer + self._dampened(push))
        change = push + momentum * kept if self._settings["nesterov"] else kept
        return change if inside else rate * change

    def _dampened(self, push: Any) -> Any:
        dampening = self._settings.get("dampening", 0.0)
        if not dampening or DAMPENING in self._forms:
            return push
        # The first gradient enters whole.
        return tf.where(self.iterations.value == 0, push, (1 - dampening) * push)


class TorchSGDW(TorchSGD):
    """SGD whose decay stays out of the momentum.

    It is ``lit_lossopt.optimizers.sgdw.SGDW``.
    """

    decoupled = True


class TorchRMSprop(TorchRule):
    """RMSprop, plain, centered or with momentum.

    torch divides by √v + ε, Keras by √(v + ε). With momentum they place the learning rate as they do in SGD.

    Sources: torch/optim/rmsprop.py (2.14), keras/src/optimizers/rmsprop.py (3.15).
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight."""
        names = ["square_avg"]
        if self._settings["momentum"] > 0:
            names.append("momentum_buffer")
        if self._settings["centered"]:
            names.append("grad_avg")
        return dict.fromkeys(names, 0.0)

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        rate = tf.cast(rate, gradient.dtype)
        root = self._root(gradient, state)
        if "momentum_buffer" not in state:
            return rate * gradient / root
        buffer = state["momentum_buffer"]
        carried = self._settings["momentum"] * buffer
        if RATE in self._forms:
            return assigned(buffer, carried + rate * gradient / root)
        return rate * assigned(buffer, carried + gradient / root)

    def _root(self, gradient: Any, state: Mapping[str, Any]) -> Any:
        alpha, eps = self._settings["alpha"], self._settings["eps"]
        square = averaged_square(state["square_avg"], gradient, alpha)
        if "grad_avg" in state:
            square -= tf.square(moved(state["grad_avg"], gradient, 1 - alpha))
        return tf.sqrt(square + eps) if EPSILON in self._forms else tf.sqrt(square) + eps
