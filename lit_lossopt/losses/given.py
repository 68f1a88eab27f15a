"""A loss that a Python program has handed over."""

from __future__ import annotations

import copy
import inspect
from functools import partial

from torch import Tensor, nn

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import given as handed_over
from lit_lossopt.core.given import name_of


class GivenLoss(nn.Module):
    """Stands in a config for a loss that was handed over from Python.

    Args:
        given: the key of the object: a loss, or its class.

    Raises:
        UserError: nothing was handed over under the key in this process, or it is no loss.
    """

    def __new__(cls, given: str) -> nn.Module:  # type: ignore[misc]  # it is the object itself
        """Return the loss itself."""
        value = handed_over(given).value
        if isinstance(value, nn.Module):
            return copy.deepcopy(value)
        # A function of outputs and labels does not say what labels it takes. A class does, by its contract.
        made = value() if inspect.isclass(value) or isinstance(value, partial) else value
        if not isinstance(made, nn.Module):
            raise UserError(
                f"criterion: {name_of(value)} is no module of torch; give one, as torch.nn.CrossEntropyLoss(), or a "
                "class of your own with a contract (lit_lossopt.losses.register_loss)"
            )
        return made

    def __init__(self, given: str) -> None:
        # Never called, because the object is of another class. Parsers read its argument.
        super().__init__()
        del given

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Never called."""
        raise TypeError(outputs, targets)
