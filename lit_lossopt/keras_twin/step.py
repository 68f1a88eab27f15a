"""Steps of training in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from lit_lossopt.keras_twin.network import KerasMiniCNN, get_weights, set_weights
from lit_lossopt.keras_twin.optimizers import Update

Array = NDArray[Any]


class Steps:
    """A network in Keras, and steps of its training.

    A step records the forward pass on a ``tf.GradientTape``, within a ``tf.function``.

    Args:
        network: that is trained.
        loss: from targets and outputs to a mean over the batch.
        update: optimizer of Keras, and what is done with gradients in front of it.
        example: of the targets of one batch, for their shape and type.
        dropout: probability that a hidden unit is dropped, where no mask is given.
        seed: of the dropout.
    """

    def __init__(
        self,
        network: KerasMiniCNN,
        loss: Callable[[Any, Any], Any],
        update: Update,
        example: Array,
        *,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.network, self.loss, self.optimizer = network, loss, update.optimizer
        self.clip, self.dropout, self.seed = update.clip, dropout, seed
        self.dtype = network.dtype
        self.optimizer.build(network.trainable_variables)
        images = tf.TensorSpec((None, *network.sizes.image), self.dtype)
        targets = tf.TensorSpec((None, *example.shape[1:]), example.dtype)
        kept = tf.TensorSpec((None, network.sizes.hidden), self.dtype)
        seeds = tf.TensorSpec((2,), tf.int64)
        self._masked = tf.function(self._step, input_signature=[images, targets, kept])
        self._drawn = tf.function(self._draw, input_signature=[images, targets, seeds])
        self._plain = tf.function(self._keep, input_signature=[images, targets])
        self._outputs = tf.function(network, input_signature=[images])

    def __call__(self, images: Array, targets: Array, rate: float | None = None, number: int = 0,
                 kept: Array | None = None) -> tuple[float, float]:  # fmt: skip
        """Make one step. Return the loss before it and the norm of the gradient.

        Args:
            images: ``[N, H, W, C]``.
            targets: as the loss takes them.
            rate: learning rate of this step; None: as it was.
            number: of the batch since the run began. Dropout is a function of it and the seed.
            kept: what hidden units are multiplied by, ``[N, hidden]``; None: dropout is drawn here.
        """
        if rate is not None:
            self.optimizer.learning_rate = rate
        if kept is not None:
            loss, norm = self._masked(images, targets, kept)
        elif self.dropout:
            loss, norm = self._drawn(images, targets, np.array([self.seed, number], np.int64))
        else:
            loss, norm = self._plain(images, targets)
        return float(loss), float(norm)

    def outputs(self, images: Array) -> Array:
        """Return the outputs ``[N, M]`` in evaluation."""
        outputs: Array = self._outputs(images).numpy()
        return outputs

    def set_weights(self, state: Mapping[str, Array]) -> None:
        """Take the weights of a torch MiniCNN."""
        set_weights(self.network, state)

    def weights(self) -> dict[str, Array]:
        """Return the weights as a torch MiniCNN has them."""
        return get_weights(self.network)

    def optimizer_state(self) -> list[Array]:
        """Return everything that the optimizer remembers."""
        return [np.array(variable.numpy()) for variable in self.optimizer.variables]

    def set_optimizer_state(self, state: list[Array]) -> None:
        """Go on from what an optimizer of the same kind remembered.

        Raises:
            ValueError: it is of another kind.
        """
        variables = self.optimizer.variables
        if [tuple(value.shape) for value in state] != [tuple(variable.shape) for variable in variables]:
            raise ValueError("the optimizer's state is of another optimizer or network")
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)

    def _keep(self, images: Any, targets: Any) -> tuple[Any, Any]:
        return self._step(images, targets, None)

    def _draw(self, images: Any, targets: Any, seeds: Any) -> tuple[Any, Any]:
        return self._step(images, targets, self.mask(tf.shape(images)[0], seeds))

    def mask(self, images: Any, seeds: Any) -> Any:
        """Return what the hidden units of so many images are multiplied by, ``[N, hidden]``, drawn by two seeds."""
        drawn = tf.random.stateless_uniform((images, self.network.sizes.hidden), seeds, dtype=self.dtype)
        return tf.cast(drawn >= self.dropout, self.dtype) / (1 - self.dropout)

    def _step(self, images: Any, targets: Any, kept: Any) -> tuple[Any, Any]:
        variables = self.network.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            loss = self.loss(targets, self.network(images, kept=kept))
            penalties = self.network.losses
            penalty = tf.add_n(penalties) if penalties else None
        gradients = tape.gradient(loss, variables)
        norm = tf.linalg.global_norm(gradients)
        if self.clip is not None:
            gradients = self.clip(gradients)
        if penalty is not None:
            # Behind the clipping, as torch's optimizers add their weight decay.
            decays = tape.gradient(penalty, variables)
            pairs = zip(gradients, decays, strict=True)
            gradients = [gradient if decay is None else gradient + decay for gradient, decay in pairs]
        self.optimizer.apply(gradients, variables)
        return loss, norm


def l2(strength: float) -> Any:
    """Return the regularizer that stands for torch's ``weight_decay``, or None if there is none.

    Torch adds λ w to the gradient, which is that of ½ λ w². Keras' ``l2(λ)`` adds λ w² to the loss.
    """
    return keras.regularizers.L2(strength / 2) if strength else None
