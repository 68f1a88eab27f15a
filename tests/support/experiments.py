"""Small experiments in both frameworks, and the same built from Keras' own parts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from lit_lossopt.keras_twin.checking.pairs import batches_of
from lit_lossopt.keras_twin.clip import Clip
from lit_lossopt.keras_twin.engine import channels_last, settings_of
from lit_lossopt.keras_twin.explaining.experiment import Experiment
from lit_lossopt.keras_twin.framework import precision
from lit_lossopt.networks.mini_cnn import MiniCNN

CHANNELS, HIDDEN, SIZE = (4, 6), 16, 8


def experiment(
    optimizer: Callable[..., torch.optim.Optimizer],
    arguments: Mapping[str, Any],
    *,
    given: tuple[str, ...] = (),
    clip: float | None = None,
    criterion: nn.Module | None = None,
    falling: bool = False,
    steps: int = 20,
    scale: float = 1.0,
) -> Experiment:
    """Return an experiment on the digits.

    Args:
        optimizer: class in torch.
        arguments: of the optimizer.
        given: settings that are not left to the frameworks.
        clip: limit of the gradient's norm.
        criterion: the loss; None: cross-entropy.
        falling: whether the learning rate falls.
        steps: how many.
        scale: what the images are multiplied by.
    """
    torch.manual_seed(0)
    network = MiniCNN(1, SIZE, 10, CHANNELS, HIDDEN, dropout=0.0).double()
    built = optimizer(network.parameters(), **arguments)
    rate = float(built.param_groups[0]["lr"])
    return Experiment(
        network=network,
        criterion=criterion or nn.CrossEntropyLoss(),
        optimizer=type(built).__name__,
        settings=settings_of(built),
        given=frozenset(given),
        decay_biases=True,
        clip=None if clip is None else Clip(clip),
        batches=[(scale * images, labels) for images, labels in batches_of("digits", steps)],
        rates=[rate * 0.8**step if falling else rate for step in range(steps)],
    )


def losses_of_keras(
    one: Experiment,
    optimizer: Any,
    *,
    carried: bool = True,
    reordered: bool = True,
    probabilities: bool = False,
    l2: float = 0.0,
) -> np.ndarray:
    """Return the losses of a training that is written in Keras by hand, and shares nothing with the package.

    Args:
        one: what is trained; only its weights, batches and rates are taken.
        optimizer: makes Keras' optimizer.
        carried: whether weights are torch's, or those of Keras' initialisers.
        reordered: whether the rows behind the flattening are put into their place.
        probabilities: whether the loss takes probabilities, with something between them and their softmax.
        l2: the argument of ``l2`` of all kernels.
    """
    with precision("float64"):
        keras.utils.set_random_seed(0)
        kernel = {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}
        parts = [
            keras.layers.Conv2D(CHANNELS[0], 3, padding="same", **kernel),
            keras.layers.MaxPooling2D(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(CHANNELS[1], 3, padding="same", **kernel),
            keras.layers.MaxPooling2D(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(HIDDEN, activation="relu", **kernel),
            keras.layers.Dense(10, **kernel),
        ]
        model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *parts])
        if carried:
            model.set_weights(_weights(one, reordered=reordered))
        made, loss = optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
        losses = []
        for (images, labels), rate in zip(one.batches, one.rates, strict=True):
            made.learning_rate = rate
            with tf.GradientTape() as tape:
                outputs = model(channels_last(images), training=True)
                value = loss(labels.numpy(), 1.0 * keras.ops.softmax(outputs) if probabilities else outputs)
                learned = tf.add_n([value, *model.losses])
            made.apply(tape.gradient(learned, model.trainable_variables), model.trainable_variables)
            losses.append(float(value))
    return np.array(losses)


def _weights(one: Experiment, *, reordered: bool) -> list[np.ndarray]:
    found = []
    for name, value in one.network.state_dict().items():
        array = value.numpy()
        if name == "linear1.weight" and reordered:
            array = array.reshape(HIDDEN, CHANNELS[1], SIZE // 4, SIZE // 4).transpose(0, 2, 3, 1).reshape(HIDDEN, -1)
        found.append(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T)
    return found
