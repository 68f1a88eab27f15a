"""Races whose workers and parents are killed from outside: the same decisions, with the same seeds and values."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.zygote import Zygote, alive
from lit_lossopt.comparison.contrast import Decision
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_history, read_runs
from tests.support.plans import write_plan
from tests.support.races import compared_race, decisions_of, seeds_of
from tests.support.sweep_process import SweepProcess

pytestmark = pytest.mark.usefixtures("store")
# One arm does not learn. The other two do.
TINY: dict[str, Any] = {
    "base": {"data": "DigitsDataModule", "trainer.max_epochs": 1},
    "factors": {
        "optimizer": {
            "still": {"model.optimizer": "SGD", "model.optimizer.lr": 1e-6},
            "adam": {"model.optimizer": "Adam", "model.optimizer.lr": 0.005},
            "rmsprop": {"model.optimizer": "RMSprop", "model.optimizer.lr": 0.003},
        }
    },
    "protocol": "race",
    "race": {"max_seeds": 6},
}
Results = dict[tuple[str, str], tuple[float, ...]]


def results_of(experiment: str) -> Results:
    """Return arm and seed → validation accuracy of each evaluation, of the runs that the race looked at."""
    counts = seeds_of(compared_race(experiment))
    found: Results = {}
    for run in read_runs(experiment):
        arm, seed = run.tags.get(names.TAG_SWEEP_ARM, ""), run.tags.get(names.TAG_SEED, "")
        if run.status == "FINISHED" and int(seed or 0) in range(1, counts.get(arm, 0) + 1):
            # Each has come to its end once.
            assert (arm, seed) not in found
            found[arm, seed] = tuple(read_history(run.run_id, names.metric(names.VAL, "accuracy")).values)
    return found


def end_of(zygote: Zygote, sweep: SweepProcess) -> str:
    """Wait for the end of a sweep that is not killed, and return what it printed."""
    assert zygote.wait(sweep.process) == 0, sweep.output.read_text()
    return sweep.output.read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_race_that_was_killed_five_times_takes_the_same_decisions(zygote: Zygote, tmp_path: Path) -> None:
    write_plan(TINY)
    end_of(zygote, SweepProcess(zygote, tmp_path, "--tracking.experiment=whole"))
    moments, killed = random.Random(3), set[str]()
    broken = "--tracking.experiment=broken"
    for parents in range(3):
        parent = SweepProcess(zygote, tmp_path, broken)
        parent.wait_for_workers(2)
        if parents < 2:
            assert parent.kill_workers(1, moments, 3, killed) == 1
        time.sleep(moments.uniform(0, 4))
        assert alive(parent.process), "the race had ended before it was killed"
        killed |= parent.kill()
    said = end_of(zygote, SweepProcess(zygote, tmp_path, broken))
    assert "has left the race" not in said
    one, other = compared_race("whole"), compared_race("broken")
    assert one.rules == other.rules
    assert decisions_of(one) == decisions_of(other)
    assert seeds_of(one) == seeds_of(other)
    assert any(pair[2] == Decision.CLAIMED for seen in decisions_of(one).values() for pair in seen)
    values = results_of("whole")
    assert len(values) == sum(seeds_of(one).values())
    assert values == results_of("broken")
    assert any(run.status == "KILLED" for run in read_runs("broken"))
