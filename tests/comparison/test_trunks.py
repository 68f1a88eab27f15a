"""Branches in a comparison: joined with what is before them, drawn from where they leave it, and told of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lit_lossopt.comparison.grouping.selection import reason_left_out
from lit_lossopt.comparison.report.figures import loss, metric
from lit_lossopt.comparison.report.trunks import drawn_once
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.branches import own_part, trunk_of, with_trunks
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import ACCURACY, arm, compared, history, rising, run

FROM_ZERO = np.arange(1, 1001)


def trained(seed: int, tau: float) -> Run:
    found = run(rising(tau), seed=seed, losses=np.exp(-FROM_ZERO / tau) + 0.1 + seed / 100)
    return replace(found, run_id=f"{seed:x}{tau:g}")


def branch(trunk: Run, step: int, tau: float) -> Run:
    """Return a run as the store has it: only steps behind the branch, and values of its own."""
    own = trained(int(trunk.tags[names.TAG_SEED]), tau)
    tags = {**own.tags, names.TAG_BRANCH: f"{trunk.run_id}@{step}", names.TAG_TRIAL_KEY: "key"}
    params = {**own.params, "branch": f"{step} steps of adam"}
    return own_part(replace(own, run_id=f"{own.run_id}b{trunk.run_id}", tags=tags, params=params))


@pytest.fixture
def trunks() -> list[Run]:
    return [trained(seed, 200) for seed in range(4)]


def test_a_branch_has_its_trunks_values_before_it(trunks: list[Run]) -> None:
    first = branch(trunks[0], 400, 100)
    second = branch(first, 700, 300)
    assert trunk_of(second) == (first.run_id, 700)
    store = {one.run_id: one for one in (trunks[0], first)}
    (joined,) = with_trunks([second], lambda ids: [store[one] for one in ids])
    losses = joined.histories[names.TRAIN_LOSS]
    assert losses.steps.tolist() == FROM_ZERO.tolist()
    for low, high, source in ((0, 400, trunks[0]), (400, 700, trained(0, 100)), (700, 1000, trained(0, 300))):
        np.testing.assert_array_equal(losses.values[low:high], source.histories[names.TRAIN_LOSS].values[low:high])
    evaluations = joined.histories[ACCURACY]
    assert evaluations.steps.tolist() == list(range(0, 1001, 50))


def test_results_of_tests_stay_with_the_trunk(trunks: list[Run]) -> None:
    tested = replace(trunks[0], histories={**trunks[0].histories, "test/accuracy": history([0.5], [300])})
    (joined,) = with_trunks([branch(tested, 400, 100)], lambda _: [tested])
    assert "test/accuracy" not in joined.histories


def test_a_branch_without_its_trunk_is_left_out(trunks: list[Run]) -> None:
    (alone,) = with_trunks([branch(trunks[0], 400, 100)], lambda _: [])
    assert reason_left_out(alone, ACCURACY, with_histories=True).startswith("its first steps are gone with run 0200")


def test_what_arms_share_is_drawn_once(trunks: list[Run]) -> None:
    early = with_trunks([branch(one, 400, 100) for one in trunks], lambda _: trunks)
    late = with_trunks([branch(one, 720, 300) for one in trunks], lambda _: trunks)
    comparison = compared([arm("adam", trunks), arm("early", early), arm("late", late)])
    figure = metric(comparison)
    assert figure is not None
    begins = {line.arm: line.x["step"][0] for line in figure.panels[0].lines}
    # A line begins at the evaluation in front of its branch, so that it hangs together with its trunk's.
    assert begins == {"adam": 0, "early": 400, "late": 700}
    losses = loss(comparison)
    assert losses is not None
    assert {line.arm: line.x["step"][0] for line in losses.panels[0].lines} == {"adam": 1, "early": 401, "late": 721}
    assert {raw.arm: raw.steps[0] for raw in losses.panels[0].raws} == {"adam": 1, "early": 401, "late": 721}
    # What is measured has all steps.
    assert all(len(trial.losses.steps) == 1000 for one in comparison.arms for trial in one.trials)
    notes = [note for note in comparison.notes if "go" in note]
    assert "early goes on from 400 steps of adam. These steps count as its own." in notes


def test_branches_whose_trunk_is_no_arm_are_drawn_with_it_once(trunks: list[Run]) -> None:
    one = with_trunks([branch(run, 400, 100) for run in trunks], lambda _: trunks)
    two = with_trunks([branch(run, 400, 300) for run in trunks], lambda _: trunks)
    late = with_trunks([branch(run, 700, 150) for run in trunks], lambda _: trunks)
    arms = compared([arm("one", one), arm("two", two), arm("late", late)]).arms
    first = {each.name: int(each.trials[0].losses.steps[0]) for each in drawn_once(arms)}
    assert first == {"late": 1, "one": 401, "two": 401}


def test_arms_of_other_seeds_do_not_draw_a_trunk(trunks: list[Run]) -> None:
    few = with_trunks([branch(one, 400, 100) for one in trunks], lambda _: trunks)
    arms = compared([arm("adam", trunks[:2]), arm("early", few)]).arms
    assert {each.name: int(each.trials[0].losses.steps[0]) for each in drawn_once(arms)} == {"adam": 1, "early": 1}
