"""A linear warm-up in front of any schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from lit_lossopt.optimizers import has_rate


class WarmUp(LRScheduler):
    """A rate that rises linearly, and then follows another schedule.

    At count k < length the rate is (k + 1) / (length + 1) of the schedule's first rate. At k ≥ length it is the
    schedule's rate at k − length. torch's SequentialLR will not do, because it does not give MultiplicativeLR its rate
    back after another schedule.

    Args:
        optimizer: the optimizer whose rates it sets.
        after: the schedule that follows, already made for this optimizer. None means a constant rate.
        length: counts of the warm-up, at least 1.
    """

    def __init__(self, optimizer: Optimizer, after: LRScheduler | None, length: int) -> None:
        self.after = after
        self.length = length
        self.first_rates = [group["lr"] for group in optimizer.param_groups]
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates of the warm-up.

        At its end they are those with which the schedule begins.
        """
        share = min(1.0, (self.last_epoch + 1) / (self.length + 1))
        return [rate * share for rate in self.first_rates]

    def step(self, epoch: int | None = None) -> None:
        """Advance by one count."""
        if self.after is None or self.last_epoch < self.length:
            super().step()
            return
        self.after.step()
        self.last_epoch += 1
        self._last_lr = self.after.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return the count and the following schedule's state."""
        after = self.after.state_dict() if self.after else None
        mine = {"length": self.length, "last_epoch": self.last_epoch, "first_rates": self.first_rates}
        return {**mine, "last_lr": self._last_lr, "after": after}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ValueError: the state is that of another warm-up.
        """
        if state_dict["length"] != self.length or (state_dict["after"] is None) != (self.after is None):
            raise ValueError(
                f"lr_warmup: the state of a warm-up of {state_dict['length']} does not fit one of {self.length}"
            )
        self.last_epoch, self.first_rates = state_dict["last_epoch"], state_dict["first_rates"]
        self._last_lr = state_dict["last_lr"]
        if self.after is not None:
            self.after.load_state_dict(state_dict["after"])


def with_warmup(make_scheduler: Callable[[Optimizer], Any] | None, optimizer: Optimizer, warmup: int) -> Any:
    """Return a schedule behind a linear warm-up.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.8)
    >>> with_warmup(None, optimizer, warmup=3).get_last_lr()  # a quarter, then a half, three quarters, the whole
    [0.2]

    Args:
        make_scheduler: makes the schedule. None means a constant rate.
        optimizer: the optimizer that it schedules.
        warmup: length of the warm-up in the schedule's own unit. 0 means none.

    Raises:
        ValueError: the length is negative, or the schedule cannot follow a warm-up.
    """
    if warmup < 0:
        raise ValueError(f"lr_warmup={warmup}: must not be negative")
    if (make_scheduler or warmup) and not all(map(has_rate, optimizer.param_groups)):
        raise ValueError(
            f"{type(optimizer).__name__} has no learning rate that a schedule could change; leave model.lr_scheduler "
            "and model.lr_warmup out"
        )
    asked = {group["lr"] for group in optimizer.param_groups if has_rate(group)}
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    if len(asked) > len(set(_highest_rates(scheduler, optimizer))) > 0:
        raise ValueError(
            f"{type(scheduler).__name__} with one max_lr for parameter groups of different rates ({sorted(asked)}): it "
            "would give them all the same; give a list, one rate a group"
        )
    if warmup == 0:
        return scheduler
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError(  # noqa: TRY004  # a value in a config
            f"lr_warmup={warmup} with ReduceLROnPlateau: it follows a metric, and would take the warm-up for a "
            "plateau; set lr_warmup to 0"
        )
    return WarmUp(optimizer, scheduler, warmup)


def _highest_rates(scheduler: Any, optimizer: Optimizer) -> list[float]:
    """Return the highest rate of each group, if the schedule sets it."""
    if isinstance(scheduler, OneCycleLR):
        return [group["max_lr"] for group in optimizer.param_groups]
    return list(scheduler.max_lrs) if isinstance(scheduler, CyclicLR) else []
