"""An optimizer, or a schedule, that a Python program has handed over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import given as handed_over
from lit_lossopt.core.given import name_of


class GivenOptimizer(Optimizer):
    """Stands in a config for an optimizer that was handed over from Python.

    Args:
        params: parameters, or groups of them.
        given: the key of the object: a class, or a function from parameters to an optimizer.
        lr: the learning rate that the function gets as ``lr``. By default it gets none.

    Raises:
        UserError: nothing was handed over under the key in this process, or it makes no optimizer.
    """

    def __new__(  # type: ignore[misc]  # it is the object itself
        cls, params: Iterable[Any], given: str, lr: float | None = None
    ) -> Optimizer:
        """Return the optimizer itself."""
        value = handed_over(given).value
        if isinstance(value, Optimizer) or not callable(value):
            raise UserError(_wanted("optimizer", value, "parameters", "torch.optim.SGD(parameters, lr=0.1)"))
        made = value(params) if lr is None else value(params, lr=lr)
        if not isinstance(made, Optimizer):
            raise UserError(
                f"optimizer: {name_of(value)} has returned {type(made).__name__}, and no optimizer of torch"
            )
        return made

    def __init__(self, params: Iterable[Any], given: str, lr: float | None = None) -> None:
        # Never called, because the object is of another class. Parsers read its arguments.
        super().__init__(params, {"given": given, "lr": lr})


class GivenSchedule(LRScheduler):
    """Stands in a config for a schedule that was handed over from Python.

    Args:
        optimizer: whose rates it sets.
        given: the key of the object: a class, or a function from an optimizer to a schedule.

    Raises:
        UserError: nothing was handed over under the key in this process, or it makes no schedule that can be followed.
    """

    def __new__(cls, optimizer: Optimizer, given: str) -> LRScheduler:  # type: ignore[misc]  # it is the object itself
        """Return the schedule itself."""
        value = handed_over(given).value
        if isinstance(value, LRScheduler) or not callable(value):
            raise UserError(_wanted("lr_scheduler", value, "optimizer", "ExponentialLR(optimizer, 0.9)"))
        made = value(optimizer)
        if not isinstance(made, LRScheduler):
            raise UserError(f"lr_scheduler: {name_of(value)} has returned {type(made).__name__}, and no LRScheduler")
        if isinstance(made, ReduceLROnPlateau) and not hasattr(made, "monitor"):
            raise UserError(
                'lr_scheduler: ReduceLROnPlateau must know its metric; give its name, **{"model.lr_scheduler": '
                '"ReduceLROnPlateau", "model.lr_scheduler.monitor": "val/loss"}'
            )
        if made.optimizer is not optimizer:
            raise UserError(f"lr_scheduler: {name_of(value)} schedules another optimizer than the one that it gets")
        return made

    def __init__(self, optimizer: Optimizer, given: str) -> None:
        # Never called, because the object is of another class. Parsers read its arguments.
        del given
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """Never called."""
        raise TypeError(self.optimizer)


def _wanted(name: str, value: Any, takes: str, example: str) -> str:
    # What is built already belongs to parameters that no run has.
    return f"{name}: {name_of(value)} does not make one; give a class or function, as lambda {takes}: {example}"
