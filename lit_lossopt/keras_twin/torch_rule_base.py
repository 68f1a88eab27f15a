"""What torch's update rules have in common, as Keras optimizers.

A rule takes torch's form of everything, unless a form is named in which Keras' own is taken in its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

# ε as Keras has it: beside the root before its bias is corrected (Adam), inside it (RMSprop, Adagrad), or added to the
# largest gradient when it divides and not when it is kept (Adamax).
EPSILON = "epsilon"
# The learning rate scales what enters the velocity, in place of what leaves it. Constant rates make no difference.
RATE = "rate"
# Weights shrink by lr × weight_decay apart from the gradient, for every optimizer.
DECAY = "decay"
# Nadam's momentum warms up by .96^t in place of .96^(t × momentum_decay).
MOMENTUM_SCHEDULE = "momentum_schedule"
# Keras has no dampening, no lr_decay.
DAMPENING = "dampening"
LR_DECAY = "lr_decay"
# Powers are taken in the type of the weights. In float64, too, most numbers of a formula come through float32: that is
# what Keras' ``ops.cast`` does to a Python number on TensorFlow.
PRECISION = "precision"


class TorchRule(keras.optimizers.Optimizer, ABC):  # type: ignore[misc]  # keras has no types
    """One of torch's update rules as a Keras optimizer.

    Numbers of a formula, such as corrections of bias, are computed in float64 and rounded once, as torch does with
    Python's floats. The learning rate is a float64 variable: what is assigned to ``learning_rate`` stays exact.
    All state is in ``variables``.

    Subclasses say what they keep for each weight (``slots``) and what they subtract from it (``_change``).

    Args:
        settings: all hyperparameters of the rule, by torch's names.
        keras_forms: forms in which Keras' own is taken in place of torch's.
        decay_biases: whether weights of at most one dimension decay.
        name: name of the optimizer.
    """

    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        keras_forms: Collection[str] = (),
        decay_biases: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate=float(settings["lr"]), name=name)
        self._settings = MappingProxyType(dict(settings))
        self._forms = frozenset(keras_forms)
        self._decay_biases = decay_biases
        self._make_rate_exact()

    def _make_rate_exact(self) -> None:
        # Keras makes it in its default type, float32.
        self._untrack_variable(self._learning_rate)
        with keras.name_scope(self.name, caller=self):
            self._learning_rate: Any = keras.Variable(
                float(self._settings["lr"]),
                name="learning_rate",
                dtype="float64",
                trainable=False,
                aggregation="only_first_replica",
            )

    @abstractmethod
    def slots(self) -> Mapping[str, float]:
        """Return what is kept for each weight, and what it starts from."""

    def build(self, variables: list[Any]) -> None:
        """Create the state of each weight."""
        if self.built:
            return
        super().build(variables)
        self._slots = {
            name: self.add_optimizer_variables(variables, name, initializer=_constant(self._rounded(start)))
            for name, start in self.slots().items()
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one weight by its gradient."""
        rate = tf.cast(learning_rate, self._number_type(variable))
        # What an embedding's row gets from several inputs is summed first; Keras' own rules square it one by one.
        gradient = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
        if self._settings["maximize"]:
            gradient = -gradient
        gradient = self._decay(gradient, variable, rate)
        index = self._get_variable_index(variable)
        state = {name: kept[index] for name, kept in self._slots.items()}
        variable.assign_sub(self._change(gradient, state, rate))

    def _decay(self, gradient: Any, variable: Any, rate: Any) -> Any:
        """Return the gradient with the decay in it, or shrink the weight."""
        if not self._settings["weight_decay"] or (len(variable.shape) < 2 and not self._decay_biases):
            return gradient
        decay = self._number(self._settings["weight_decay"], variable)
        if not (self._is_decoupled() or DECAY in self._forms):
            return gradient + tf.cast(decay, variable.dtype) * variable
        variable.assign(variable * tf.cast(1 - rate * decay, variable.dtype))
        return gradient

    def _is_decoupled(self) -> bool:
        return self.decoupled or bool(self._settings.get("decoupled_weight_decay"))

    @abstractmethod
    def _change(self, gradient: Any, state: Mapping[str, Any], rate: Any) -> Any:
        """Update the state and return what is subtracted from the weight."""

    def _number_type(self, tensor: Any) -> Any:
        return tensor.dtype if PRECISION in self._forms else tf.float64

    def _rounded(self, number: float) -> float:
        """Return a number of a formula as it enters it."""
        return float(np.float32(number)) if PRECISION in self._forms else number

    def _number(self, number: float, tensor: Any) -> Any:
        """Return a number of a formula in the type it is computed in."""
        return tf.constant(self._rounded(number), self._number_type(tensor))

    def _step(self, tensor: Any) -> Any:
        """Return the number of this step, from 1."""
        return tf.cast(self.iterations + 1, self._number_type(tensor))

    def _unbias(self, beta: float, tensor: Any) -> Any:
        """Return 1 − βᵗ."""
        return 1 - tf.pow(self._number(beta, tensor), self._step(tensor))

    def get_config(self) -> dict[str, Any]:
        """Return what makes this optimizer again, at its present rate."""
        return {
            "settings": {**self._settings, "lr": float(self._learning_rate.numpy())},
            "keras_forms": sorted(self._forms),
            "decay_biases": self._decay_biases,
            "name": self.name,
        }


def _constant(start: float) -> Callable[..., Any]:
    """Return what fills a new variable; Keras' own rounds to float32."""
    return lambda shape, dtype=None: tf.fill(shape, tf.constant(start, dtype))


def assigned(variable: Any, value: Any) -> Any:
    """Assign a value to a variable, and return the value."""
    variable.assign(value)
    return value


def moved(variable: Any, target: Any, weight: float) -> Any:
    """Move a variable by a part of the way to a target.

    Less than half is counted from the start, else from the target, as torch's ``lerp`` does.
    """
    way = target - variable
    return assigned(variable, variable + weight * way if weight < 0.5 else target - (1 - weight) * way)


def averaged_square(variable: Any, value: Any, keep: float) -> Any:
    """Average a square into a variable, and return the average."""
    return assigned(variable, keep * variable + (1 - keep) * value * value)
