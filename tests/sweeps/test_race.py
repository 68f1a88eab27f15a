"""Races over real runs in a real store: what is run at each look, who stops, and what the same command takes up."""

from __future__ import annotations

from collections import Counter

import pytest

from lit_lossopt.comparison.racing import rules_in
from lit_lossopt.core import names
from lit_lossopt.sweeps.plan.points import LEARNING_RATE
from lit_lossopt.sweeps.trial import Trial
from tests.support.plans import plan
from tests.support.races import (
    CLAIMED,
    CLEAR,
    EQUIVALENT,
    NOISY,
    OPEN,
    TWO,
    RaceEngine,
    compared_race,
    decisions_of,
    looks_said,
    race_plan,
    run_race,
    seeds_of,
    trials_of,
)

pytestmark = pytest.mark.usefixtures("store")


def test_losers_stop_equivalent_arms_close_and_compare_finds_the_same() -> None:
    engine = RaceEngine(CLEAR)
    status, sweep, said = run_race(race_plan(), engine)
    assert status == 0
    # Look by look: three seeds of three arms, one more, and then those of the two that are open.
    looks = [("sgd", 4), ("adam", 8), ("rmsprop", 8)]
    assert engine.repeated == dict(looks)
    assert [trial.seed for trial in engine.ran] == [*[1] * 3, *[2] * 3, *[3] * 3, *[4] * 3, *[5, 5, 6, 6, 7, 7, 8, 8]]
    assert looks_said(said) == [
        "look at 3 seeds: nothing is decided yet; open: adam and rmsprop, adam and sgd, rmsprop and sgd",
        "look at 4 seeds: adam is better than sgd, rmsprop is better than sgd; open: adam and rmsprop",
        "look at 6 seeds: nothing new is decided; open: adam and rmsprop",
        "look at 8 seeds: adam and rmsprop are equivalent",
    ]
    assert "20 of 20 trials have results" in said
    found = compared_race()
    assert seeds_of(found) == dict(looks)
    assert {size: seen for size, seen in decisions_of(found).items() if size > 3} == {
        4: [("adam", "rmsprop", OPEN), ("adam", "sgd", CLAIMED), ("rmsprop", "sgd", CLAIMED)],
        6: [("adam", "rmsprop", OPEN)],
        8: [("adam", "rmsprop", EQUIVALENT)],
    }
    assert found.racing == ()
    tags = [run.tags for run in trials_of()]
    assert {tag[names.TAG_PHASE] for tag in tags} == {"repeat"}
    assert {rules_in(tag[names.TAG_RACE]) for tag in tags} == {found.rules}
    assert sweep.notes == []


def test_the_best_point_of_each_arm_races() -> None:
    # A lower rate is worse, and the top one is worst.
    def better(trial: Trial) -> bool:
        return trial.point[LEARNING_RATE] == 0.01

    class Searching(RaceEngine):
        def final(self, trial: Trial) -> float | None:
            final = super().final(trial)
            return final if final is None or better(trial) else final - 0.2

    engine = Searching(CLEAR)
    status, _, _ = run_race(plan(protocol="race", seeds=None), engine)
    assert status == 0
    assert Counter(trial.phase for trial in engine.ran) == {"tuning": 6, "repeat": 6}
    raced = [trial for trial in engine.ran if trial.phase == "repeat"]
    assert all(better(trial) for trial in raced)
    assert {trial.seed for trial in raced} == {1, 2, 3}
    tags = [run.tags for run in trials_of()]
    assert {bool(tag.get(names.TAG_RACE)) for tag in tags if tag[names.TAG_PHASE] == "tuning"} == {False}
    assert {bool(tag.get(names.TAG_RACE)) for tag in tags if tag[names.TAG_PHASE] == "repeat"} == {True}


def test_an_arm_whose_trial_failed_leaves_the_race_and_the_same_command_takes_it_up_again() -> None:
    engine = RaceEngine(CLEAR, crashing=[("sgd", 3)])
    status, _, said = run_race(race_plan(), engine)
    assert status == 1
    # Its other runs of the look are there, and the race goes on without it.
    assert engine.repeated == {"sgd": 3, "adam": 8, "rmsprop": 8}
    assert "sgd has left the race, because a trial of it failed" in said
    assert said[-1] == "the same command runs what is missing"
    assert any(line.startswith("failed: repeat sgd seed=3: exit 1: out of memory") for line in said)
    assert seeds_of(compared_race()) == {"adam": 8, "rmsprop": 8, "sgd": 0}
    mended = RaceEngine(CLEAR)
    status, _, said = run_race(race_plan(), mended)
    assert status == 0
    assert [(trial.arm, trial.seed) for trial in mended.ran] == [("sgd", 3), ("sgd", 4)]
    assert "look at 4 seeds: adam is better than sgd, rmsprop is better than sgd; open: adam and rmsprop" in said
    assert not any("has left the race" in line for line in said)
    assert seeds_of(compared_race()) == {"sgd": 4, "adam": 8, "rmsprop": 8}


def test_a_race_of_two_arms_cannot_go_on_without_one_of_them() -> None:
    engine = RaceEngine(NOISY, crashing=[("adam", 4)])
    status, _, said = run_race(race_plan(arms=TWO, race={"max_seeds": 4}), engine)
    assert status == 1
    assert engine.repeated == {"sgd": 4, "adam": 4}
    assert "the race cannot go on to 4 seeds, because trials failed" in said
    assert seeds_of(compared_race()) == {"sgd": 3, "adam": 3}
    mended = RaceEngine(NOISY)
    assert run_race(race_plan(arms=TWO, race={"max_seeds": 4}), mended)[0] == 0
    assert [(trial.arm, trial.seed) for trial in mended.ran] == [("adam", 4)]
    assert seeds_of(compared_race()) == {"sgd": 4, "adam": 4}


def test_a_run_that_diverges_later_opens_an_equivalence_again() -> None:
    finals = {"sgd": (0.9, 0.0003), "adam": (0.9, 0.0003), "rmsprop": (0.9, 0.05)}
    engine = RaceEngine(finals, broken=[("adam", 6)])
    status, _, said = run_race(race_plan(race={"max_seeds": 8}), engine)
    assert status == 0
    assert "look at 4 seeds: adam and sgd are equivalent; open: adam and rmsprop, rmsprop and sgd" in said
    assert "open again, because a later run did not come to a sound end: adam and sgd" in said
    assert "diverged, which is a result: 1: repeat adam seed=6" in said
    assert engine.repeated == {"sgd": 8, "adam": 8, "rmsprop": 8}
    assert ("adam", "sgd", OPEN) in decisions_of(compared_race())[8]


def test_speed_decides_where_it_is_the_question() -> None:
    finals = {"sgd": (0.9, 0.0003), "adam": (0.9, 0.0003), "rmsprop": (0.9, 0.0003)}
    engine = RaceEngine(finals, rises={"sgd": 20, "adam": 8, "rmsprop": 8})
    status, _, said = run_race(race_plan(race={"question": "speed", "margin": 1.3}), engine)
    assert status == 0
    assert looks_said(said)[-1] == (
        "look at 4 seeds: adam is faster than sgd, rmsprop is faster than sgd, adam and rmsprop are equivalent"
    )
    found = compared_race()
    assert found.rules.question == "steps_to_target"
    assert decisions_of(found)[4] == [
        ("adam", "rmsprop", EQUIVALENT),
        ("adam", "sgd", CLAIMED),
        ("rmsprop", "sgd", CLAIMED),
    ]


def test_there_is_no_race_of_one_arm_that_came_through_its_search() -> None:
    class Diverging(RaceEngine):
        def final(self, trial: Trial) -> float | None:
            return None if trial.arm == "sgd" else super().final(trial)

    engine = Diverging(CLEAR)
    status, _, said = run_race(plan(protocol="race", seeds=None, extend=0), engine)
    assert status == 0
    assert engine.repeated == {}
    assert "there was no race, because fewer than two arms came to a sound end of their search" in said


def test_the_display_is_told_how_the_race_stands() -> None:
    shown: list[str] = []
    run_race(race_plan(), RaceEngine(CLEAR), shown.append)
    assert shown == [
        "race: the first look is at three seeds",
        "race at 3 seeds: 0 of 3 pairs decided, 3 open; to 4 seeds go adam, rmsprop and sgd",
        "race at 4 seeds: 2 of 3 pairs decided, 1 open; to 6 seeds go adam and rmsprop",
        "race at 6 seeds: 2 of 3 pairs decided, 1 open; to 8 seeds go adam and rmsprop",
        "race at 8 seeds: 3 of 3 pairs decided",
    ]


def test_the_runs_of_an_arm_that_has_left_choose_no_target() -> None:
    """Its two runs are far better than all others. No other arm would ever reach what it would choose."""
    finals = {"sgd": (0.99, 0.0003), "adam": (0.8, 0.0003), "rmsprop": (0.8, 0.0003)}
    engine = RaceEngine(finals, crashing=[("sgd", 3)], rises={"sgd": 20, "adam": 8, "rmsprop": 20})
    status, _, said = run_race(race_plan(race={"question": "speed"}), engine)
    assert status == 1
    assert looks_said(said)[-1].startswith("look at 4 seeds: adam is faster than rmsprop")
    assert decisions_of(compared_race())[4] == [("adam", "rmsprop", CLAIMED)]
