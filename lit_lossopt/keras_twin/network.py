"""MiniCNN in Keras, and its weights carried both ways.

Keras puts channels last. Kernels of convolutions are ``[H, W, in, out]`` there and ``[out, in, H, W]`` in torch, those
of linear layers ``[in, out]`` and ``[out, in]``. What is flattened between them has another order, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

Array = NDArray[Any]
LAYERS = ("conv1", "conv2", "linear1", "linear2")
# The layer behind the flattening.
FLATTENED = "linear1"


@dataclass(frozen=True)
class Sizes:
    """The sizes of a MiniCNN.

    Attributes:
        in_channels: of the images.
        image_size: height and width of the images in pixels.
        num_outputs: size of the last layer.
        channels: of the two convolutions.
        hidden: width of the first linear layer.
        dropout: probability of dropping a hidden unit.
    """

    in_channels: int = 3
    image_size: int = 32
    num_outputs: int = 10
    channels: tuple[int, int] = (32, 64)
    hidden: int = 128
    dropout: float = 0.3

    @property
    def image(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.image_size, self.image_size, self.in_channels

    @property
    def flattened(self) -> tuple[int, int, int]:
        """Height, width and channels of what is flattened."""
        side = self.image_size // 2 // 2
        return side, side, self.channels[1]


class KerasMiniCNN(keras.Model):  # type: ignore[misc]  # keras has no types
    """The layers of ``lit_lossopt.networks.MiniCNN``, from images ``[N, H, W, C]`` to logits ``[N, num_outputs]``.

    Args:
        sizes: of the layers.
        dtype: of weights and values, ``float32`` or ``float64``.
        regularizer: of all kernels; None: none.
        bias_regularizer: of all biases; None: none.
    """

    def __init__(
        self, sizes: Sizes, dtype: str = "float32", regularizer: Any = None, bias_regularizer: Any = None
    ) -> None:
        super().__init__(dtype=dtype)
        self.sizes = sizes
        common = {"dtype": dtype, "kernel_regularizer": regularizer, "bias_regularizer": bias_regularizer}
        first, second = sizes.channels
        self.conv1 = layers.Conv2D(first, 3, padding="same", name="conv1", **common)
        self.conv2 = layers.Conv2D(second, 3, padding="same", name="conv2", **common)
        self.pool = layers.MaxPooling2D(2, dtype=dtype)
        self.flatten = layers.Flatten(dtype=dtype)
        self.linear1 = layers.Dense(sizes.hidden, name="linear1", **common)
        self.linear2 = layers.Dense(sizes.num_outputs, name="linear2", **common)
        self(np.zeros((1, *sizes.image), dtype))

    def call(self, images: Any, kept: Any = None) -> Any:
        """Return logits.

        Args:
            images: ``[N, H, W, C]``.
            kept: what each hidden unit is multiplied by, ``[N, hidden]``: zero where it is dropped. None drops none.
        """
        x = ops.relu(self.pool(self.conv1(images)))
        x = ops.relu(self.pool(self.conv2(x)))
        x = ops.relu(self.linear1(self.flatten(x)))
        return self.linear2(x if kept is None else x * kept)


def set_weights(network: KerasMiniCNN, state: Mapping[str, Array], *, reorder: bool = True) -> None:
    """Give a network the weights of a torch MiniCNN.

    Args:
        network: in Keras.
        state: name in torch, as ``conv1.weight``, and array.
        reorder: whether the rows behind the flattening are put into Keras' order. Without it they mean other pixels.
    """
    for name in LAYERS:
        layer = getattr(network, name)
        layer.kernel.assign(_to_keras(name, np.asarray(state[f"{name}.weight"]), network.sizes, reorder=reorder))
        layer.bias.assign(np.asarray(state[f"{name}.bias"]))


def get_weights(network: KerasMiniCNN) -> dict[str, Array]:
    """Return the weights as a torch MiniCNN has them, by their names there."""
    state: dict[str, Array] = {}
    for name in LAYERS:
        layer = getattr(network, name)
        state[f"{name}.weight"] = _to_torch(name, layer.kernel.numpy(), network.sizes)
        state[f"{name}.bias"] = layer.bias.numpy()
    return state


def _to_keras(name: str, weight: Array, sizes: Sizes, *, reorder: bool) -> Array:
    if weight.ndim == 4:
        return weight.transpose(2, 3, 1, 0)
    if name == FLATTENED and reorder:
        height, width, channels = sizes.flattened
        by_pixel = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        weight = by_pixel.reshape(len(weight), -1)
    return weight.T


def _to_torch(name: str, kernel: Array, sizes: Sizes) -> Array:
    if kernel.ndim == 4:
        return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    weight = kernel.T
    if name == FLATTENED:
        by_channel = weight.reshape(-1, *sizes.flattened).transpose(0, 3, 1, 2)
        weight = by_channel.reshape(len(weight), -1)
    return np.ascontiguousarray(weight)
