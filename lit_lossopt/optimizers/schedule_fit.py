"""Whether the numbers of a schedule fit its training.

What does not fit is said before the training begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)

from lit_lossopt.optimizers.schedule_plan import LENGTHS, TRAINING
from lit_lossopt.optimizers.schedules import WarmUp

# A longer schedule is not tried count by count, because that would take seconds.
MOST_TRIED = 20_000


def misfit(scheduler: LRScheduler, optimizer: Optimizer, length: int, unit: str, *, follows: bool) -> str:
    """Return what does not fit between schedule and training.

    The text is empty if all fits. The schedule is used up.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> scheduler = StepLR(optimizer, step_size=30)
    >>> optimizer.step()
    >>> misfit(scheduler, optimizer, 5, "epoch", follows=False)
    'model.lr_scheduler.step_size=30: the training has 5 epochs, so the rate ends at 100% of its peak'

    Args:
        scheduler: the schedule as just made, with its warm-up.
        optimizer: the optimizer that it schedules.
        length: steps or epochs from the schedule's beginning to the end of the training.
        unit: ``step`` or ``epoch``.
        follows: whether the schedule's length is that of the training anyway.

    Raises:
        ValueError: the schedule would end in an error before the training does.
    """
    warmup = scheduler.length if isinstance(scheduler, WarmUp) else 0
    inner = scheduler.after if isinstance(scheduler, WarmUp) else scheduler
    if 0 < length <= warmup:
        counted = _counted(length, unit)
        return f"model.lr_warmup={warmup}: the training has {counted}, so the rate never reaches its full height"
    rest = length - warmup
    if follows:
        return ""
    setting = next((look(inner, rest) for kind, look in _LOOKS.items() if isinstance(inner, kind)), "")
    shares = _shares(scheduler, optimizer, length, unit)
    if not setting:
        return ""
    behind = f" behind its warm-up of {warmup}" if warmup else ""
    ends = f", so the rate ends at {shares[1]:.0%} of its peak" if shares else ""
    names = [name for kind, name in LENGTHS.items() if isinstance(inner, kind)]
    word = f"; {names[0]}={TRAINING} fits any length" if names else ""
    return f"model.lr_scheduler.{setting}: the training has {_counted(rest, unit)}{behind}{ends}{word}"


def _shares(scheduler: LRScheduler, optimizer: Optimizer, length: int, unit: str) -> tuple[float, float] | None:
    """Return first and last rate as shares of the highest.

    They are those of the first group. None means that the training is too long to be tried, or that no rate is above 0.
    """
    if length > MOST_TRIED:
        return None
    rates = []
    for count in range(length):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        try:
            scheduler.step()
        except Exception as error:
            raise ValueError(
                f"{type(scheduler).__name__} fails after {count + 1} of the training's {length} {unit}s: {error}"
            ) from error
    highest = max(rates, default=0.0)
    return (rates[0] / highest, rates[-1] / highest) if highest > 0 else None


def _length(name: str, *, longer: bool = True, shorter: bool = True) -> Callable[[Any, int], str]:
    """Return a check of one argument's length.

    It finds a length that differs from the training's. One count more or less fits.
    """

    def look(scheduler: Any, rest: int) -> str:
        value = getattr(scheduler, name)
        differs = (longer and value > rest + 1) or (shorter and value < rest - 1)
        return f"{name}={value}" if differs else ""

    return look


def _one_cycle(scheduler: OneCycleLR, rest: int) -> str:
    if scheduler.total_steps < rest:
        raise ValueError(
            f"OneCycleLR with total_steps={scheduler.total_steps}: the training counts {rest}, and it fails behind its "
            f"last one; take total_steps={TRAINING}"
        )
    return f"total_steps={scheduler.total_steps}" if scheduler.total_steps > rest + 1 else ""


def _milestones(scheduler: MultiStepLR, rest: int) -> str:
    beyond = [count for count in sorted(scheduler.milestones) if count >= rest]
    return f"milestones={beyond}" if beyond else ""


def _step_size(scheduler: StepLR, rest: int) -> str:
    return f"step_size={scheduler.step_size}" if scheduler.step_size >= rest else ""


def _cycle(scheduler: CyclicLR, rest: int) -> str:
    rises = scheduler.total_size * scheduler.step_ratio
    return f"step_size_up={rises:g}" if scheduler.total_size > rest else ""


_LOOKS: dict[type[LRScheduler], Callable[[Any, int], str]] = {
    CosineAnnealingLR: _length("T_max"),
    PolynomialLR: _length("total_iters"),
    # These three are made to be shorter than a training.
    LinearLR: _length("total_iters", shorter=False),
    ConstantLR: _length("total_iters", shorter=False),
    CosineAnnealingWarmRestarts: _length("T_0", shorter=False),
    OneCycleLR: _one_cycle,
    MultiStepLR: _milestones,
    StepLR: _step_size,
    CyclicLR: _cycle,
}


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"
