"""An optimizer that a Python program has handed over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer

from lit_lossopt.core.given import given as handed_over


class GivenOptimizer(Optimizer):
    """Stands in a config for an optimizer that was handed over from Python.

    Args:
        params: parameters, or groups of them.
        given: the key of the object: a class, or a function from parameters to an optimizer.

    Raises:
        UserError: nothing was handed over under the key in this process.
    """

    def __new__(cls, params: Iterable[Any], given: str) -> Optimizer:  # type: ignore[misc]  # it is the object itself
        """Return the optimizer itself."""
        made: Optimizer = handed_over(given).value(params)
        return made

    def __init__(self, params: Iterable[Any], given: str) -> None:
        # Never called, because the object is of another class. Parsers read its arguments.
        super().__init__(params, {"given": given})
