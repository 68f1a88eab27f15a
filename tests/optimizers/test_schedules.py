"""One contract for every schedule: its rates are the closed form's, alone and behind a warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from lit_lossopt.optimizers.schedules import with_warmup

BASE, STEPS = 0.5, 24
Form = Callable[[int], float]


def triangle(k: int) -> float:
    phase = k % 8
    return 0.1 + (0.5 - 0.1) * (phase / 4 if phase <= 4 else (8 - phase) / 4)


def one_cycle(k: int) -> float:
    top, low, end, rise = 1.0, 1.0 / 25, 1.0 / 25 / 1e4, 0.3 * STEPS - 1
    fall = (k - rise) / (STEPS - 1 - rise)
    return low + (top - low) * k / rise if k <= rise else top + (end - top) * fall


def restarts(k: int) -> float:
    return BASE * (1 + math.cos(math.pi * (k % 6) / 6)) / 2


# Schedule, arguments, the rate at count k.
TABLE: dict[Any, tuple[dict[str, Any], Form]] = {
    lr_scheduler.ConstantLR: ({"factor": 0.2, "total_iters": 5}, lambda k: BASE * (0.2 if k < 5 else 1)),
    lr_scheduler.LinearLR: ({"start_factor": 0.1, "total_iters": 6}, lambda k: BASE * (0.1 + 0.9 * min(k, 6) / 6)),
    lr_scheduler.StepLR: ({"step_size": 4, "gamma": 0.3}, lambda k: BASE * 0.3 ** (k // 4)),
    lr_scheduler.MultiStepLR: ({"milestones": [3, 9], "gamma": 0.1}, lambda k: BASE * 0.1 ** ((k >= 3) + (k >= 9))),
    lr_scheduler.ExponentialLR: ({"gamma": 0.9}, lambda k: BASE * 0.9**k),
    lr_scheduler.PolynomialLR: ({"total_iters": 20, "power": 2.0}, lambda k: BASE * (1 - min(k, 20) / 20) ** 2),
    lr_scheduler.CosineAnnealingLR: ({"T_max": STEPS}, lambda k: BASE * (1 + math.cos(math.pi * k / STEPS)) / 2),
    lr_scheduler.CosineAnnealingWarmRestarts: ({"T_0": 6}, restarts),
    lr_scheduler.LambdaLR: ({"lr_lambda": lambda k: 1 / (1 + k)}, lambda k: BASE / (1 + k)),
    lr_scheduler.MultiplicativeLR: ({"lr_lambda": lambda _: 0.8}, lambda k: BASE * 0.8**k),
    lr_scheduler.CyclicLR: ({"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4}, triangle),
    lr_scheduler.OneCycleLR: ({"max_lr": 1.0, "total_steps": STEPS, "anneal_strategy": "linear"}, one_cycle),
}
# They are made of other schedules, which a config cannot give.
COMPOSED = {lr_scheduler.ChainedScheduler, lr_scheduler.SequentialLR}


def rates(make: Callable[[torch.optim.Optimizer], Any] | None, warmup: int) -> list[float]:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=BASE, momentum=0.9)
    scheduler = with_warmup(make, optimizer, warmup)
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        weight.grad = torch.zeros(1)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return seen


def test_the_table_holds_every_schedule_of_torch() -> None:
    classes = {value for value in vars(lr_scheduler).values() if isinstance(value, type)}
    known = {one for one in classes if issubclass(one, lr_scheduler.LRScheduler) and not one.__name__.startswith("_")}
    assert known - {lr_scheduler.LRScheduler} == {*TABLE, *COMPOSED, lr_scheduler.ReduceLROnPlateau}


@pytest.mark.parametrize(("schedule", "arguments", "form"), [(s, *rest) for s, rest in TABLE.items()])
def test_rates_are_those_of_the_closed_form(schedule: Any, arguments: dict[str, Any], form: Form) -> None:
    assert rates(lambda optimizer: schedule(optimizer, **arguments), 0) == pytest.approx(
        [form(k) for k in range(STEPS)]
    )


@pytest.mark.parametrize("warmup", [1, 5])
@pytest.mark.parametrize(("schedule", "arguments", "form"), [(s, *rest) for s, rest in TABLE.items()])
def test_a_warmup_rises_in_front(schedule: Any, arguments: dict[str, Any], form: Form, warmup: int) -> None:
    expected = [form(0) * (k + 1) / (warmup + 1) if k < warmup else form(k - warmup) for k in range(STEPS)]
    assert rates(lambda optimizer: schedule(optimizer, **arguments), warmup) == pytest.approx(expected)


def test_a_warmup_alone_ends_at_the_rate() -> None:
    assert rates(None, 4) == pytest.approx([BASE * min(k + 1, 5) / 5 for k in range(STEPS)])
    assert rates(None, 0) == [BASE] * STEPS


@pytest.mark.parametrize("at", [2, 5, 9])
def test_a_warmups_state_survives_a_checkpoint(at: int) -> None:
    def make() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
        return optimizer, with_warmup(lambda one: lr_scheduler.ExponentialLR(one, gamma=0.9), optimizer, 5)

    optimizer, scheduler = make()
    for _ in range(at):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="a warm-up of 5 does not fit one of 3"):
        with_warmup(None, optimizer, 3).load_state_dict(scheduler.state_dict())
    resumed_optimizer, resumed = make()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(6):
        for one, schedule in ((optimizer, scheduler), (resumed_optimizer, resumed)):
            one.step()
            schedule.step()
        assert optimizer.param_groups[0]["lr"] == resumed_optimizer.param_groups[0]["lr"]
        assert scheduler.get_last_lr() == resumed.get_last_lr()


def test_what_cannot_follow_a_warmup_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="it follows a metric"):
        rates(lr_scheduler.ReduceLROnPlateau, 3)
    with pytest.raises(ValueError, match="must not be negative"):
        rates(None, -1)


def test_one_rate_for_groups_of_different_rates_is_refused() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.02, 0.001)]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    with pytest.raises(ValueError, match="give a list, one rate a group"):
        with_warmup(lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.02, total_steps=9), optimizer, 0)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.02, 0.001)]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    with_warmup(lambda one: lr_scheduler.OneCycleLR(one, max_lr=[0.02, 0.001], total_steps=9), optimizer, 0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02 / 25, 0.001 / 25])
