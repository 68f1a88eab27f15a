"""A schedule as long as the training, also where the training becomes longer; what does not fit is said or refused."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import lr_scheduler

from benchmarks.killing.attempts import RUN
from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.config.description import trial_key
from lit_lossopt.config.words import prepare
from lit_lossopt.optimizers.schedule_fit import misfit
from lit_lossopt.optimizers.schedule_plan import LENGTHS, TRAINING, SchedulePlan
from lit_lossopt.optimizers.schedules import with_warmup
from lit_lossopt.sweeps.plan.key import sweep_key
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.training_length import planned_length
from tests.config.test_resolved_configs import resolved

SGD = ["--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.lr_scheduler_interval=step"]
COSINE = [*SGD, "--model.lr_scheduler=CosineAnnealingLR"]
ONE_CYCLE = [*SGD, "--model.lr_scheduler=OneCycleLR", "--model.lr_scheduler.max_lr=0.1"]
# Eight steps an epoch.
FIT = [*RUN, "--probe.images=0"]
WORD = "--model.lr_scheduler.T_max=training"


def rates(run: Run) -> list[float]:
    return [float(rate) for rate in stored_points(run.run_id, "train/lr").values]


def runs() -> list[Run]:
    return read_runs("lit_lossopt")


def cosine(count: int, length: int) -> list[float]:
    return [0.05 * (1 + math.cos(math.pi * k / length)) for k in range(count)]


@pytest.mark.usefixtures("store")
def test_a_schedule_follows_the_training_also_where_that_becomes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*FIT, *COSINE, WORD, "--trainer.val_check_interval=1.0"]
    assert main([*words, "--trainer.max_epochs=1"]) == 0
    first = rates(runs()[-1])
    assert first == pytest.approx(cosine(8, 8))
    assert "lr_scheduler" not in capsys.readouterr().err
    assert main([*words, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    assert "the schedule goes on for a training of 16 steps, not of 8" in capsys.readouterr().out
    assert rates(runs()[-1]) == pytest.approx(cosine(16, 16)[8:])
    assert main([*words, "--trainer.max_epochs=3", "--ckpt_path=last", "--model.lr_warmup=2"]) == 0
    assert "optimizer and schedule begin afresh" in capsys.readouterr().out
    last = runs()[-1]
    assert rates(last) == pytest.approx([0.1 / 3, 0.2 / 3, *cosine(6, 6)])
    assert yaml.safe_load(last.params["lr_scheduler.T_max"]) == "training"


ARGUMENTS: dict[Any, dict[str, Any]] = {
    lr_scheduler.OneCycleLR: {"max_lr": 1.0},
    lr_scheduler.PolynomialLR: {"power": 2},
}


def steps_of(optimizer: torch.optim.Optimizer, scheduler: Any, count: int) -> list[tuple[float, ...]]:
    seen: list[tuple[float, ...]] = []
    for _ in range(count):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("schedule", LENGTHS, ids=lambda schedule: schedule.__name__)
def test_a_longer_training_goes_on_with_the_rates_that_it_would_have_had(schedule: Any, warmup: int) -> None:
    def planned(length: int) -> tuple[SchedulePlan, torch.optim.Optimizer]:
        make = functools.partial(schedule, **{LENGTHS[schedule]: TRAINING}, **ARGUMENTS.get(schedule, {}))
        plan = SchedulePlan(make, "step", warmup)
        plan.end_at(length)
        return plan, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)

    plan, optimizer = planned(30)
    whole = steps_of(optimizer, plan.made_for(optimizer), 30)
    plan, optimizer = planned(11)
    scheduler = plan.made_for(optimizer)
    steps_of(optimizer, scheduler, 11)
    checkpoint = {"lr_schedulers": [scheduler.state_dict()]}
    saved, state = plan.state_dict(), optimizer.state_dict()
    plan, optimizer = planned(30)
    plan.go_on(checkpoint, saved, 11, afresh=False)
    scheduler = plan.made_for(optimizer)
    optimizer.load_state_dict(state)
    plan.set_rates(optimizer)
    np.testing.assert_allclose(steps_of(optimizer, scheduler, 19), whole[11:], rtol=1e-12, atol=1e-15)


MISFITS = [
    (lr_scheduler.CosineAnnealingLR, {"T_max": 3315}, "T_max=3315: the training has 20 steps, so"),
    (lr_scheduler.CosineAnnealingLR, {"T_max": 40}, "so the rate ends at 54% of its peak; T_max=training fits any"),
    (lr_scheduler.CosineAnnealingLR, {"T_max": 10}, "so the rate ends at 98% of its peak"),
    (lr_scheduler.CosineAnnealingLR, {"T_max": 20}, ""),
    (lr_scheduler.CosineAnnealingLR, {"T_max": 19}, ""),
    (lr_scheduler.OneCycleLR, {"total_steps": 100, "max_lr": 1.0}, "total_steps=100: the training has 20 steps"),
    (lr_scheduler.OneCycleLR, {"total_steps": 20, "max_lr": 1.0}, ""),
    (lr_scheduler.PolynomialLR, {"total_iters": 5}, "total_iters=5: the training has 20 steps, so the rate ends at 0%"),
    (lr_scheduler.PolynomialLR, {"total_iters": 20}, ""),
    (lr_scheduler.LinearLR, {"total_iters": 5}, ""),
    (lr_scheduler.LinearLR, {"total_iters": 50}, "total_iters=50"),
    (lr_scheduler.ConstantLR, {"total_iters": 50}, "total_iters=50"),
    (lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": 30}, "T_0=30"),
    (lr_scheduler.StepLR, {"step_size": 20}, "step_size=20: the training has 20 steps, so the rate ends at 100%"),
    (lr_scheduler.StepLR, {"step_size": 19}, ""),
    (lr_scheduler.MultiStepLR, {"milestones": [10, 30]}, "milestones=[30]"),
    (lr_scheduler.CyclicLR, {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 15}, "step_size_up=15"),
    (lr_scheduler.ExponentialLR, {"gamma": 0.9}, ""),
]


def made(schedule: Any, arguments: dict[str, Any], warmup: int = 0) -> tuple[Any, torch.optim.Optimizer]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
    return with_warmup(lambda one: schedule(one, **arguments), optimizer, warmup), optimizer


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize(("schedule", "arguments", "expected"), MISFITS)
def test_a_schedule_of_another_length_is_said(schedule: Any, arguments: dict[str, Any], expected: str) -> None:
    said = misfit(*made(schedule, arguments), 20, "step", follows=False)
    assert expected in said if expected else not said
    behind = misfit(*made(schedule, arguments, warmup=4), 24, "step", follows=False)
    assert bool(behind) is bool(expected)


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_a_schedule_that_would_fail_on_the_way_is_refused() -> None:
    class Ends(lr_scheduler.LambdaLR):
        def step(self, epoch: int | None = None) -> None:
            if self.last_epoch == 6:
                raise IndexError("nothing is left")
            super().step(epoch)

    with pytest.raises(ValueError, match="total_steps=19: the training counts 20"):
        misfit(*made(lr_scheduler.OneCycleLR, {"total_steps": 19, "max_lr": 1.0}), 20, "step", follows=False)
    with pytest.raises(ValueError, match="Ends fails after 7 of the training's 20 epochs: nothing is left"):
        misfit(*made(Ends, {"lr_lambda": lambda _: 1}), 20, "epoch", follows=False)
    assert "lr_warmup=20" in misfit(*made(lr_scheduler.ExponentialLR, {"gamma": 1}, 20), 20, "step", follows=True)


@pytest.mark.usefixtures("store")
def test_what_does_not_fit_is_one_line_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, *ONE_CYCLE, "--model.lr_scheduler.total_steps=17"]) == 2
    shown = capsys.readouterr().err
    assert "OneCycleLR with total_steps=17: the training counts 24" in shown
    assert shown.count("\n") == 1
    unlimited = ["--trainer.max_epochs=-1", "--trainer.max_time=00:00:01:00"]
    assert main([*FIT, *COSINE, WORD, *unlimited]) == 2
    assert (
        "T_max=training: neither trainer.max_epochs nor trainer.max_steps limits this training"
        in capsys.readouterr().err
    )
    assert main([*FIT, *COSINE, "--model.lr_scheduler.T_max=trainings"]) == 2
    assert "model.lr_scheduler.T_max=trainings from the command line: expected" in capsys.readouterr().err
    assert not list(Path("mlruns").glob("journal/*"))
    assert main([*FIT, *COSINE, "--model.lr_scheduler.T_max=100", "--trainer.max_steps=2"]) == 0
    said = (
        "model.lr_scheduler.T_max=100: the training has 2 steps, so the rate ends at 100% of its peak; T_max=training"
    )
    # A slow store may say so too.
    assert f"lossopt: {said} fits any length" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("words", "sweeps", "trials"),
    [
        ([*COSINE, "--model.lr_scheduler.T_max=24"], "c4fbdb35b87e65f1", "23a7d8e7044cfbeb"),
        ([*ONE_CYCLE, "--model.lr_scheduler.total_steps=24"], "0535eaee3c30618e", "0d0477a3e78aab7f"),
    ],
)
def test_keys_of_trials_with_numbers_are_those_of_before(words: list[str], sweeps: str, trials: str) -> None:
    words = ["--data=DigitsDataModule", *words]
    assert sweep_key(prepare("fit", words)).startswith(sweeps)
    assert trial_key(resolved(words)).startswith(trials)


@pytest.mark.parametrize("batches", [1, 7, 20])
@pytest.mark.parametrize("limits", [(4, -1), (-1, 23), (9, 23), (2, 23), (-1, -1)])
@pytest.mark.parametrize("accumulated", [{0: 1}, {0: 3}, {0: 2, 3: 4}, {0: 4, 1: 1, 6: 3}])
def test_the_planned_length_is_that_of_a_counting_loop(
    batches: int, limits: tuple[int, int], accumulated: dict[int, int]
) -> None:
    most_epochs, most_steps = limits
    changing = GradientAccumulationScheduler(dict(accumulated))
    trainer: Any = SimpleNamespace(max_epochs=most_epochs, max_steps=most_steps, callbacks=[changing])
    found = planned_length(trainer, batches)
    if limits == (-1, -1):
        assert (found.steps, found.epochs) == (None, None)
        return
    steps = epochs = 0
    while epochs != most_epochs and not 0 <= most_steps <= steps:
        steps += math.ceil(batches / changing.get_accumulate_grad_batches(epochs))
        epochs += 1
    assert (found.steps, found.epochs) == (min(steps, most_steps) if most_steps >= 0 else steps, epochs)


def test_without_the_word_a_schedule_is_left_as_it_is() -> None:
    plan = SchedulePlan(lambda one: lr_scheduler.ExponentialLR(one, gamma=0.5), "step", 0)
    plan.end_at(7)
    states: dict[str, Any] = {"lr_schedulers": [{"last_epoch": 3}]}
    plan.go_on(states, {"planned": 4, "begun": 0}, 3, afresh=False)
    assert states["lr_schedulers"]
    assert (plan.follows_training, plan.moved_from) == (False, None)
