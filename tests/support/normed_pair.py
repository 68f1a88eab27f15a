"""A small network with what MiniCNN has not: strides, batch norms, and a rate that falls on a plateau."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn
from torch.nn import functional

from lit_lossopt.keras_twin.framework import precision

NAMES = (
    "padding", "batch-norm-momentum", "batch-norm-epsilon", "batch-norm-variance", "plateau-threshold",
    "plateau-patience",
)  # fmt: skip
STEPS, CLASSES = 60, 3
# Torch's are one lower than Keras', which lowers the rate earlier by one.
PATIENCE, FACTOR = 2, 0.5


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images ``[N, 2, 8, 8]`` float64 and labels ``[N]``."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (12,), generator=generator)
    means = torch.randn(CLASSES, 2, 8, 8, generator=generator, dtype=torch.float64)
    return 0.05 * means[labels] + 0.05 * torch.randn(12, 2, 8, 8, generator=generator, dtype=torch.float64), labels


class Network(nn.Module):
    """A convolution at stride 2, a batch norm, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4 * 4 * 4, CLASSES)
        self.double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits. Channels come last where they are flattened."""
        x = torch.relu(self.norm(self.conv(images)))
        logits: torch.Tensor = self.linear(x.permute(0, 2, 3, 1).flatten(1))
        return logits


def torch_side(rate: float) -> np.ndarray:
    """Return the evaluation losses before each step in torch."""
    network, (images, labels) = Network(), data()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=FACTOR, patience=PATIENCE)
    losses = []
    for _ in range(STEPS):
        with torch.no_grad():
            losses.append(functional.cross_entropy(network.eval()(images), labels).item())
        optimizer.zero_grad()
        functional.cross_entropy(network.train()(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step(losses[-1])
    return np.array(losses)


class Unbiased(keras.layers.BatchNormalization):  # type: ignore[misc]  # keras has no types
    """A batch norm whose moving variance is unbiased, as torch's is."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Return the normalised inputs."""
        before = tf.convert_to_tensor(self.moving_variance)
        outputs = super().call(inputs, training=training)
        if training:
            count = float(np.prod([int(inputs.shape[axis]) for axis in (0, 1, 2)]))
            # What a batch of biased variance has added is what an unbiased one adds, but for this factor.
            added = tf.convert_to_tensor(self.moving_variance) - self.momentum * before
            self.moving_variance.assign(self.momentum * before + added * (count / (count - 1)))
        return outputs


def keras_side(rate: float, switched: Collection[str]) -> np.ndarray:
    """Return the evaluation losses before each step in Keras, which does as Keras in what is switched."""
    images, labels = data()
    pixels = images.permute(0, 2, 3, 1).numpy()
    with precision("float64"):
        model = _model(switched)
        plateau = _Plateau(rate, switched)
        optimizer, loss = keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        losses = []
        for _ in range(STEPS):
            losses.append(float(loss(labels.numpy(), model(pixels, training=False))))
            with tf.GradientTape() as tape:
                value = loss(labels.numpy(), model(pixels, training=True))
            optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
            optimizer.learning_rate = plateau.rate_behind(losses[-1])
    return np.array(losses)


def _model(switched: Collection[str]) -> Any:
    norm = keras.layers.BatchNormalization if "batch-norm-variance" in switched else Unbiased
    same = "padding" in switched
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            *([] if same else [keras.layers.ZeroPadding2D(1)]),
            keras.layers.Conv2D(4, 3, strides=2, padding="same" if same else "valid"),
            norm(
                momentum=0.99 if "batch-norm-momentum" in switched else 0.9,
                epsilon=1e-3 if "batch-norm-epsilon" in switched else 1e-5,
            ),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )
    network = Network()
    model.set_weights(
        [
            network.conv.weight.detach().numpy().transpose(2, 3, 1, 0),
            network.conv.bias.detach().numpy(),  # type: ignore[union-attr]  # it has one
            *([np.ones(4), np.zeros(4), np.zeros(4), np.ones(4)]),
            network.linear.weight.detach().numpy().T,
            network.linear.bias.detach().numpy(),
        ]
    )
    return model


class _Plateau:
    """Keras' schedule, or torch's."""

    def __init__(self, rate: float, switched: Collection[str]) -> None:
        self._in_keras = bool({"plateau-threshold", "plateau-patience"} & set(switched))
        absolute = "plateau-threshold" in switched
        patience = PATIENCE if "plateau-patience" in switched else PATIENCE + 1
        self._optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
        self._torch = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimizer,
            factor=FACTOR,
            patience=patience - 1,
            threshold_mode="abs" if absolute else "rel",
        )
        self._callback = self._real(rate, patience) if absolute else None
        self._epoch = 0

    def rate_behind(self, loss: float) -> float:
        """Return the rate of the next step."""
        if self._callback is None:
            self._torch.step(loss)
            return float(self._optimizer.param_groups[0]["lr"])
        self._callback.on_epoch_end(self._epoch, {"val_loss": loss})
        self._epoch += 1
        return float(self._callback.model.optimizer.learning_rate.numpy())

    def _real(self, rate: float, patience: int) -> Any:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(rate))
        callback = keras.callbacks.ReduceLROnPlateau("val_loss", factor=FACTOR, patience=patience, mode="min")
        callback.set_model(model)
        callback.on_train_begin()
        return callback
