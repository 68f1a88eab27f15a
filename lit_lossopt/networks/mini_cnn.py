"""MiniCNN, the small network on which losses and optimizers are compared.

Here is also how any network gets its sizes from the data and the loss.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class NetworkFactory(Protocol):
    """Makes a network for images of a given size.

    The sizes come from the data and the loss, and a config cannot set them. A constructor takes those that it names.
    ``num_classes``, as torchvision's networks call it, is the same as ``num_outputs``.
    """

    def __call__(
        self, *, in_channels: int = ..., image_size: int = ..., num_outputs: int = ..., num_classes: int = ...
    ) -> nn.Module:
        """Return the network."""


class MiniCNN(nn.Module):
    """Two convolutions and two linear layers, from images to logits.

    Images are ``[N, C, H, W]`` float, logits ``[N, num_outputs]``. The layers are convolution 3×3, max-pool 2 and ReLU,
    twice, then flatten, linear, ReLU, dropout, linear. Max-pooling and ReLU commute exactly, in values and gradients.
    Pooling first leaves a quarter of the work to the ReLU. Softmax is no part of it.

    >>> network = MiniCNN(in_channels=1, image_size=8, num_outputs=10)
    >>> network(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Args:
        in_channels: channels C of the images.
        image_size: height and width of the images in pixels, at least 4.
        num_outputs: size of the last layer.
        channels: output channels of the two convolutions.
        hidden: width of the first linear layer.
        dropout: probability of dropping a hidden unit during training, in [0, 1).

    Raises:
        ValueError: a size leaves nothing to compute with.
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_outputs: int = 10,
        channels: tuple[int, int] = (32, 64),
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if image_size < 4:
            raise ValueError(f"image_size={image_size}: two poolings need images of at least 4 pixels")
        if min(in_channels, num_outputs, hidden, *channels) < 1:
            raise ValueError("in_channels, num_outputs, channels and hidden must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: must be in [0, 1)")
        first, second = channels
        side = image_size // 4
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.linear1 = nn.Linear(second * side * side, hidden)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(hidden, num_outputs)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self.linear2

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, num_outputs]`` for images ``[N, C, H, W]``."""
        x = torch.relu(self.pool(self.conv1(images)))
        x = torch.relu(self.pool(self.conv2(x)))
        x = torch.relu(self.linear1(x.flatten(1)))
        logits: Tensor = self.linear2(self.dropout(x))
        return logits


def build_network(factory: NetworkFactory, *, in_channels: int, image_size: int, num_outputs: int) -> nn.Module:
    """Return the network, made with those sizes that its constructor takes.

    >>> network = build_network(MiniCNN, in_channels=1, image_size=8, num_outputs=3)
    >>> network.head.out_features
    3
    """
    sizes = {
        "in_channels": in_channels,
        "image_size": image_size,
        "num_outputs": num_outputs,
        "num_classes": num_outputs,
    }
    accepted = inspect.signature(_constructor(factory)).parameters
    return factory(**{name: size for name, size in sizes.items() if name in accepted})


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable values.

    >>> count_parameters(MiniCNN())
    545098
    """
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _constructor(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the class behind a partial.

    The parser's partials bind the class as an argument of their own function.
    """
    while isinstance(factory, functools.partial):
        bound = [argument for argument in factory.args if inspect.isclass(argument)]
        factory = bound[-1] if bound else factory.func
    return factory
