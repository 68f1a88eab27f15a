"""Sweeps whose workers and parents are killed from outside: each trial comes to its end once, in the store."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.zygote import Zygote
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs
from tests.support.plans import write_plan
from tests.support.sweep_process import SweepProcess

pytestmark = pytest.mark.usefixtures("store")
# Two steps each.
TINY: dict[str, Any] = {
    "base": {
        "data": "DigitsDataModule", "trainer.max_epochs": 1, "trainer.limit_val_batches": 1,
        "trainer.limit_train_batches": 2,
    },
    "factors": {"optimizer": {"sgd": {"model.optimizer": "SGD"}, "adam": {"model.optimizer": "Adam"}}},
    "protocol": "grid",
}  # fmt: skip


def assert_each_ended_once(count: int, kills: int) -> None:
    """Every trial has one run that finished, with both its steps; what was killed is marked so, under one parent."""
    runs = read_runs("plan")
    parents = [run for run in runs if names.TAG_PLAN in run.tags]
    assert [run.status for run in parents] == ["FINISHED"]
    trials = [run for run in runs if names.TAG_SWEEP in run.tags]
    assert {run.tags[names.TAG_SWEEP] for run in trials} == {parents[0].run_id}
    finished = [run for run in trials if run.status == "FINISHED"]
    keys = Counter(run.tags[names.TAG_SWEEP_KEY] for run in finished)
    assert len(keys) == count
    assert set(keys.values()) == {1}
    assert all(steps_of(run) == [1, 2] for run in finished)
    others = [run for run in trials if run.status != "FINISHED"]
    assert {run.status for run in others} <= {"KILLED"}
    assert len(others) <= kills


def steps_of(run: Run) -> list[int]:
    return [int(step) for step in read_history(run.run_id, "train/loss").steps]


@pytest.mark.slow
def test_trials_of_killed_workers_and_a_killed_parent_end_once(zygote: Zygote, tmp_path: Path) -> None:
    write_plan(TINY, seeds=6)
    moments, killed = random.Random(1), set[str]()
    first = SweepProcess(zygote, tmp_path)
    first.wait_for_workers(2)
    assert first.kill_workers(1, moments, 0.5, killed) == 1
    first.wait_for_workers(2)
    killed |= first.kill()
    second = SweepProcess(zygote, tmp_path)
    second.wait_for_workers(1)
    assert second.kill_workers(1, moments, 0.3, killed) == 1
    assert zygote.wait(second.process) == 0, second.output.read_text()
    assert_each_ended_once(12, kills=2 + 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_trials_twenty_killed_workers_and_three_killed_parents(zygote: Zygote, tmp_path: Path) -> None:
    write_plan(TINY, learning_rates={"from": 0.001, "to": 0.01, "points": 4}, seeds=25, extend=0)
    moments, killed, kills = random.Random(2), set[str](), 0
    for _ in range(3):
        parent = SweepProcess(zygote, tmp_path)
        parent.wait_for_workers(2)
        kills += parent.kill_workers(5, moments, 6, killed)
        time.sleep(moments.uniform(0, 2))
        killed |= parent.kill()
    parent = SweepProcess(zygote, tmp_path)
    parent.wait_for_workers(2)
    kills += parent.kill_workers(5, moments, 6, killed)
    assert kills == 20
    assert zygote.wait(parent.process) == 0, parent.output.read_text()
    assert "200 of 200 trials have results" in parent.output.read_text()
    assert_each_ended_once(200, kills=20 + 3 * 2)
