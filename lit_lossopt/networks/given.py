"""A network that a Python program has handed over."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from torch import nn

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import given as handed_over
from lit_lossopt.core.given import name_of


class GivenNetwork(nn.Module):
    """Stands in a config for a network that was handed over from Python.

    A network that is built already is copied, so that each run begins from the same weights. A class or function gets
    those sizes that it takes, and the seed decides the weights.

    Args:
        given: the key of the object.
        in_channels: channels of the images.
        image_size: height and width of the images in pixels.
        num_outputs: number of outputs.
        num_classes: the same.

    Raises:
        UserError: nothing was handed over under the key in this process, or it makes no network.
    """

    def __new__(  # type: ignore[misc]  # it is the object itself
        cls, given: str, in_channels: int = 3, image_size: int = 32, num_outputs: int = 10, num_classes: int = 10
    ) -> nn.Module:
        """Return the network itself."""
        value = handed_over(given).value
        if isinstance(value, nn.Module):
            return copy.deepcopy(value)
        if not callable(value):
            raise UserError(
                f"network: {name_of(value)} is no network; give a module, or a class or function that makes one"
            )
        sizes = {"in_channels": in_channels, "image_size": image_size, "num_outputs": num_outputs,
                 "num_classes": num_classes}  # fmt: skip
        accepted = inspect.signature(value).parameters
        made = value(**{name: size for name, size in sizes.items() if name in accepted})
        if not isinstance(made, nn.Module):
            raise UserError(f"network: {name_of(value)} has returned {type(made).__name__}, and no module of torch")
        return made

    def __init__(
        self, given: str, in_channels: int = 3, image_size: int = 32, num_outputs: int = 10, num_classes: int = 10
    ) -> None:
        # Never called, because the object is of another class. Parsers read its arguments.
        super().__init__()
        del given, in_channels, image_size, num_outputs, num_classes

    def forward(self, images: Any) -> Any:
        """Never called."""
        raise TypeError(images)
