"""A schedule as long as the training.

Its length may be the word ``training`` in place of a number. What a resumed training needs to go on is kept here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, PolynomialLR

from lit_lossopt.core.quiet import without_warnings
from lit_lossopt.optimizers.schedules import with_warmup

TRAINING = "training"
# Schedules of torch, and the argument that says how long each is.
LENGTHS: dict[type[LRScheduler], str] = {
    CosineAnnealingLR: "T_max",
    OneCycleLR: "total_steps",
    ConstantLR: "total_iters",
    LinearLR: "total_iters",
    PolynomialLR: "total_iters",
}
# The keys that schedules set in a parameter group.
_SET = ("lr", "momentum", "betas")


class SchedulePlan:
    """Makes the schedule of a training.

    The length of the training may be known only later. A count is one epoch or one step, whichever the schedule counts.

    Args:
        make: makes the schedule. None means a constant rate.
        unit: what the schedule counts, ``epoch`` or ``step``.
        warmup: counts of the linear warm-up in front of the schedule.

    Attributes:
        planned: the count at which the training ends. None means that nothing limits it.
        begun: the count of the training at which the schedule begins. It is above 0 where the schedule begins afresh on
            the way.
        moved_from: the count at which the training was to end before. None means that the end is still the same.
    """

    def __init__(self, make: Callable[[Optimizer], Any] | None, unit: str, warmup: int) -> None:
        self.make, self.unit, self.warmup = make, unit, warmup
        self.planned: int | None = None
        self.begun = 0
        self.moved_from: int | None = None
        self._count = 0
        self._set: list[dict[str, Any]] = []

    @property
    def length(self) -> int | None:
        """Number of counts of warm-up and schedule together."""
        return None if self.planned is None else self.planned - self.begun

    @property
    def follows_training(self) -> bool:
        """Whether the schedule's length is that of the training."""
        return bool(self._asked())

    def end_at(self, planned: int | None) -> None:
        """Take note of the count at which the training ends."""
        self.planned = planned

    def made_for(self, optimizer: Optimizer) -> Any:
        """Return the schedule for an optimizer.

        It is advanced to where the checkpoint left it. None means a constant rate.

        Raises:
            ValueError: the schedule does not fit the optimizer, the warm-up or the training.
        """
        scheduler = with_warmup(self._fitted(), optimizer, self.warmup)
        if self.moved_from is not None:
            with without_warnings():  # torch warns that the schedule is ahead of the optimizer
                for _ in range(self._count):
                    scheduler.step()
            self._set = [{name: group[name] for name in _SET if name in group} for group in optimizer.param_groups]
        return scheduler

    def state_dict(self) -> dict[str, int | None]:
        """Return the planned end, by which a longer training is known."""
        return {"planned": self.planned, "begun": self.begun}

    def go_on(self, checkpoint: dict[str, Any], state: Mapping[str, Any], behind: int, *, afresh: bool) -> None:
        """Go on from a checkpoint.

        A training that has become longer goes on with the rates of the longer one. The schedule's stored state would
        bring the old length back, so it is taken out of the checkpoint.

        Args:
            checkpoint: its content, which is changed.
            state: what ``state_dict`` returned when the checkpoint was saved.
            behind: counts of the training that the checkpoint has behind it.
            afresh: whether optimizer and schedule begin afresh.
        """
        if self.planned is None:
            return
        self.moved_from = None
        if afresh:
            self.begun = behind
            return
        self.begun = state.get("begun", 0)
        if self.follows_training and state.get("planned", self.planned) != self.planned:
            self.moved_from = state["planned"]
            self._count = behind - self.begun
            checkpoint["lr_schedulers"] = []

    def set_rates(self, optimizer: Optimizer) -> None:
        """Give an optimizer the rates of the longer training.

        Its loaded state has brought back the rates of the shorter one.
        """
        for group, values in zip(optimizer.param_groups, self._set, strict=False):
            group.update(values)
        self._set = []

    def _asked(self) -> list[str]:
        given = getattr(self.make, "keywords", {})
        return [name for name in set(LENGTHS.values()) if given.get(name) == TRAINING]

    def _fitted(self) -> Callable[[Optimizer], Any] | None:
        """Return the factory, with a number in place of ``training``."""
        make, asked = self.make, self._asked()
        if make is None or not asked:
            return make
        if self.length is None:
            raise ValueError(
                f"{asked[0]}={TRAINING}: neither trainer.max_epochs nor trainer.max_steps limits this training "
                f"(trainer.max_time has no number of steps); set one of them, or give a number of {self.unit}s"
            )
        rest = max(1, self.length - self.warmup)
        return lambda optimizer: make(optimizer, **dict.fromkeys(asked, rest))
