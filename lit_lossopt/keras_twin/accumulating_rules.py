"""torch's Adagrad and Adadelta as Keras optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lit_lossopt.keras_twin.torch_rule_base import EPSILON, LR_DECAY, TorchRule, assigned, averaged_square


class TorchAdagrad(TorchRule):
    """Adagrad.

    torch divides by √s + ε, Keras by √(s + ε). torch's rate falls as 1 ∕ (1 + (t − 1) × lr_decay), for which Keras has
    no setting.

    Sources: torch/optim/adagrad.py (2.14), keras/src/optimizers/adagrad.py (3.15).
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight, and where it starts."""
        return {"sum": self._settings["initial_accumulator_value"]}

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        if LR_DECAY not in self._forms:
            rate /= 1 + (self._step(gradient) - 1) * self._number(self._settings["lr_decay"], gradient)
        total = assigned(state["sum"], state["sum"] + tf.square(gradient))
        eps = self._settings["eps"]
        root = tf.sqrt(total + eps) if EPSILON in self._forms else tf.sqrt(total) + eps
        return tf.cast(rate, gradient.dtype) * gradient / root


class TorchAdadelta(TorchRule):
    """Adadelta. torch and Keras have one form of it.

    Sources: torch/optim/adadelta.py (2.14), keras/src/optimizers/adadelta.py (3.15).
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight."""
        return dict.fromkeys(["square_avg", "acc_delta"], 0.0)

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        rho, eps = self._settings["rho"], self._settings["eps"]
        square = averaged_square(state["square_avg"], gradient, rho)
        delta = tf.sqrt(state["acc_delta"] + eps) / tf.sqrt(square + eps) * gradient
        averaged_square(state["acc_delta"], delta, rho)
        return tf.cast(rate, gradient.dtype) * delta
