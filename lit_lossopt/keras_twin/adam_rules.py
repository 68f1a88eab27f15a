"""torch's Adam, AdamW, NAdam and Adamax as Keras optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lit_lossopt.keras_twin.torch_rule_base import (
    EPSILON,
    MOMENTUM_SCHEDULE,
    PRECISION,
    TorchRule,
    assigned,
    averaged_square,
    moved,
)


class TorchAdam(TorchRule):
    """Adam and AdamW, with AMSGrad where asked for.

    torch subtracts lr × m̂ ∕ (√v̂ + ε). Keras takes the form before section 2.1 of the article, in which ε stands beside
    the root that is not corrected: it counts as ε ∕ √(1 − β₂ᵗ), 32 times as much at the first step.

    Sources: torch/optim/adam.py (2.14), keras/src/optimizers/adam.py (3.15); Kingma, Ba 2015, "Adam: A Method for
    Stochastic Optimization", section 2 ("ε̂").
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight."""
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if self._settings["amsgrad"] else [])]
        return dict.fromkeys(names, 0.0)

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        beta1, beta2 = self._settings["betas"]
        mean = moved(state["exp_avg"], gradient, 1 - beta1)
        square = averaged_square(state["exp_avg_sq"], gradient, beta2)
        if "max_exp_avg_sq" in state:
            square = assigned(state["max_exp_avg_sq"], tf.maximum(state["max_exp_avg_sq"], square))
        size = rate / self._unbias(beta1, gradient)
        root = tf.sqrt(self._unbias(beta2, gradient))
        eps = self._settings["eps"]
        if EPSILON in self._forms:
            return tf.cast(size * root, mean.dtype) * mean / (tf.sqrt(square) + eps)
        return tf.cast(size, mean.dtype) * mean / (tf.sqrt(square) / tf.cast(root, mean.dtype) + eps)


class TorchNAdam(TorchRule):
    """Adam with Nesterov momentum.

    The momentum of step t is β₁ (1 − ½ × .96^(t ψ)). ψ is torch's ``momentum_decay``, .004 as in the article; Keras
    has it at 1. Both add ε to the corrected root. torch keeps the product of the momentums in float32, whatever the
    type of the weights (it follows torch's default type).

    Sources: torch/optim/nadam.py (2.14), keras/src/optimizers/nadam.py (3.15); Dozat 2016, "Incorporating Nesterov
    Momentum into Adam".
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight; the product is apart."""
        return dict.fromkeys(["exp_avg", "exp_avg_sq"], 0.0)

    def build(self, variables: list[Any]) -> None:
        """Create the state of each weight."""
        if self.built:
            return
        super().build(variables)
        self._slots["mu_product"] = [self._product_of(variable) for variable in variables]

    def _product_of(self, variable: Any) -> Any:
        dtype = variable.dtype if PRECISION in self._forms else "float32"
        name = f"{variable.name}_mu_product"
        return self.add_variable((), initializer="ones", dtype=dtype, name=name)

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        beta1, beta2 = map(self._rounded, self._settings["betas"])
        step, dtype = self._step(gradient), gradient.dtype
        now, after = self._momentum(step, gradient), self._momentum(step + 1, gradient)
        product = tf.cast(self._product(state["mu_product"]), self._number_type(gradient))
        mean = moved(state["exp_avg"], gradient, 1 - beta1)
        square = averaged_square(state["exp_avg_sq"], gradient, beta2)
        root = tf.sqrt(square / tf.cast(self._unbias(beta2, gradient), dtype)) + self._settings["eps"]
        by_gradient = tf.cast(rate * (1 - now) / (1 - product), dtype)
        by_mean = tf.cast(rate * after / (1 - product * after), dtype)
        return by_gradient * gradient / root + by_mean * mean / root

    def _momentum(self, step: Any, tensor: Any) -> Any:
        """Return the momentum of a step."""
        beta, base = (self._number(number, tensor) for number in (self._settings["betas"][0], 0.96))
        return beta * (1 - 0.5 * tf.pow(base, step * self._warming()))

    def _product(self, kept: Any) -> Any:
        """Multiply the kept product by the momentum of this step.

        Here Keras, too, takes the numbers as they are.
        """
        step = tf.cast(self.iterations + 1, tf.float64)
        momentum = self._settings["betas"][0] * (
            1 - 0.5 * tf.pow(tf.constant(0.96, tf.float64), step * self._warming())
        )
        return assigned(kept, kept * tf.cast(momentum, kept.dtype))

    def _warming(self) -> float:
        return 1.0 if MOMENTUM_SCHEDULE in self._forms else self._settings["momentum_decay"]


class TorchAdamax(TorchRule):
    """Adam with the largest gradient in place of the root.

    torch keeps u ← max(β₂ u, |g| + ε) and divides by u. Keras keeps max(β₂ u, |g|) and divides by u + ε.

    Sources: torch/optim/adamax.py (2.14), keras/src/optimizers/adamax.py (3.15).
    """

    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight."""
        return dict.fromkeys(["exp_avg", "exp_inf"], 0.0)

    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        beta1, beta2 = self._settings["betas"]
        eps = self._settings["eps"]
        outside = EPSILON in self._forms
        mean = moved(state["exp_avg"], gradient, 1 - beta1)
        largest = state["exp_inf"]
        largest = assigned(largest, tf.maximum(beta2 * largest, tf.abs(gradient) + (0.0 if outside else eps)))
        size = tf.cast(rate / self._unbias(beta1, gradient), mean.dtype)
        return size * mean / (largest + eps if outside else largest)
