"""A race that goes on under another command: after an interruption, with other limits, and by a plan that changed."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt.comparison.statistics.looks import DECIDING, Look
from lit_lossopt.comparison.statistics.race import deciding
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.command import sweep
from lit_lossopt.sweeps.trial import Trial
from tests.support.plans import plan
from tests.support.races import (
    CLAIMED,
    CLEAR,
    NOISY,
    TWO,
    RaceEngine,
    compared_race,
    decisions_of,
    log_seeded,
    looks_said,
    race_plan,
    run_race,
    seeds_of,
    trials_of,
)

pytestmark = pytest.mark.usefixtures("store")


def test_a_race_ends_undecided_at_its_limit_and_a_higher_one_goes_on() -> None:
    engine = RaceEngine(NOISY)
    status, _, said = run_race(race_plan(arms=TWO, race={"max_seeds": 4}), engine)
    assert status == 0
    assert engine.repeated == {"sgd": 4, "adam": 4}
    ended = (
        "the race ended at its limit of 4 seeds; open: adam and sgd; to go on, raise race.max_seeds or type --seeds 6"
    )
    assert ended in said
    assert compared_race().next_look is None
    more = RaceEngine(NOISY)
    status, _, said = run_race(race_plan("--seeds=6", arms=TWO, race={"max_seeds": 4}), more)
    assert status == 0
    assert [(trial.arm, trial.seed) for trial in more.ran] == [("sgd", 5), ("adam", 5), ("sgd", 6), ("adam", 6)]
    assert seeds_of(compared_race()) == {"sgd": 6, "adam": 6}
    assert len(compared_race().rules.seeds) == 6


@pytest.mark.parametrize("stops", [1, 5, 8, 10, 14, 19])
def test_the_same_command_after_an_interruption_takes_the_same_decisions(stops: int) -> None:
    """Also where two of three arms have all seeds of a look, and the third does not."""
    first, second = RaceEngine(CLEAR, stop_after=stops), RaceEngine(CLEAR)
    with pytest.raises(KeyboardInterrupt):
        run_race(race_plan(), first)
    status, _, said = run_race(race_plan(), second)
    assert status == 0
    keys = [trial.key for trial in (*first.ran, *second.ran)]
    assert len(keys) == len(set(keys)) == 20
    assert first.repeated + second.repeated == {"sgd": 4, "adam": 8, "rmsprop": 8}
    assert looks_said(said)[-1] == "look at 8 seeds: adam and rmsprop are equivalent"
    assert len(looks_said(said)) == 4
    assert not any("has left the race" in line for line in said)
    assert decisions_of(compared_race())[4][1:] == [("adam", "sgd", CLAIMED), ("rmsprop", "sgd", CLAIMED)]
    assert seeds_of(compared_race()) == {"sgd": 4, "adam": 8, "rmsprop": 8}
    third = RaceEngine(CLEAR)
    assert run_race(race_plan(), third)[0] == 0
    assert third.ran == []


def test_compare_half_way_shows_the_looks_that_took_place() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_race(race_plan(), RaceEngine(CLEAR, stop_after=14))
    found = compared_race()
    assert sorted(found.looks) == [3, 4]
    assert seeds_of(found) == {"sgd": 4, "adam": 4, "rmsprop": 4}
    assert found.next_look == 6


def test_an_arm_that_comes_later_catches_up_look_by_look() -> None:
    run_race(race_plan(arms=("adam", "rmsprop")), RaceEngine(CLEAR))
    before = {run.run_id for run in trials_of()}
    engine = RaceEngine(CLEAR)
    assert run_race(race_plan(), engine)[0] == 0
    assert engine.repeated["sgd"] == 4
    assert seeds_of(compared_race()) == {"sgd": 4, "adam": 8, "rmsprop": 8}
    assert before <= {run.run_id for run in trials_of()}


def test_time_that_is_up_ends_a_race_undecided_and_tests_have_their_own() -> None:
    """Each command trains at least one more trial, so the race ends in any case."""
    changes: dict[str, Any] = {"arms": TWO, "race": {"max_seeds": 3, "max_minutes": 1e-9}, "test": "best"}
    over = "the race's 1e-09 minutes were over before all pairs were decided; the same command goes on"
    first, second = RaceEngine(NOISY), RaceEngine(NOISY)
    status, _, said = run_race(race_plan(**changes), first)
    assert status == 0
    assert [(trial.phase, trial.seed) for trial in first.ran] == [("repeat", 1), ("test", 1)]
    assert "the race's 1e-09 minutes are over; 5 trials are left" in said
    assert over in said
    # Of two tests the second one is not cut off.
    again = RaceEngine(NOISY)
    assert run_race(race_plan(**changes), again)[0] == 0
    assert [(trial.phase, trial.arm) for trial in again.ran] == [("repeat", "adam"), ("test", "sgd"), ("test", "adam")]
    # Its plan is the same whatever its limit of time.
    changes["race"]["max_minutes"] = 10
    status, _, said = run_race(race_plan(**changes), second)
    assert status == 0
    assert Counter(trial.phase for trial in second.ran) == {"repeat": 4, "test": 6}
    assert over not in said
    assert not any("plan has changed" in line for line in said)


def test_the_sweeps_own_limit_is_no_end_of_the_race() -> None:
    def slow(_: Trial) -> None:
        time.sleep(0.07)

    engine = RaceEngine(NOISY, before=slow)
    limits = {"limits": {"minutes": 0.001}, "race": {"max_minutes": 10}}
    status, sweep, said = run_race(race_plan(arms=TWO, **limits), engine)
    assert status == 1
    assert sweep.notes == []
    assert any("the plan's 0.001 minutes are over; 5 trials are left" in line for line in said)


def test_runs_of_fixed_seeds_are_taken_over_and_given_back() -> None:
    fixed: dict[str, Any] = {"seeds": 6}
    run_race(plan(**fixed), RaceEngine(CLEAR))
    assert {bool(run.tags.get(names.TAG_RACE)) for run in trials_of()} == {False}
    engine = RaceEngine(CLEAR)
    status, _, said = run_race(plan("--until-decided", **fixed), engine)
    assert status == 0
    # Three seeds decide, and three of each arm are not looked at.
    assert engine.ran == []
    assert any(line.startswith("6 results were set aside, because the race does not need them") for line in said)
    tags = [run.tags for run in trials_of()]
    phases = Counter((tag[names.TAG_PHASE], bool(tag.get(names.TAG_RACE))) for tag in tags)
    assert {phase: count for phase, count in phases.items() if phase[0] != "tuning"} == {
        ("repeat", True): 6,
        ("aside", False): 6,
    }
    assert seeds_of(compared_race()) == {"sgd": 3, "adam": 3}
    back = RaceEngine(CLEAR)
    assert run_race(plan(**fixed), back)[0] == 0
    assert back.ran == []
    tags = [run.tags for run in trials_of()]
    assert Counter(tag[names.TAG_PHASE] for tag in tags if tag[names.TAG_PHASE] != "tuning") == {"repeat": 12}
    assert {bool(tag.get(names.TAG_RACE)) for tag in tags} == {False}


def test_a_race_is_taken_over_by_fixed_seeds() -> None:
    run_race(plan("--until-decided", seeds=2), RaceEngine(CLEAR))
    engine = RaceEngine(CLEAR)
    assert run_race(plan(seeds=4), engine)[0] == 0
    assert [(trial.arm, trial.seed) for trial in engine.ran] == [("sgd", 4), ("adam", 4)]
    assert {bool(run.tags.get(names.TAG_RACE)) for run in trials_of()} == {False}


@pytest.mark.parametrize("stops", [2, 5])
def test_a_race_of_this_process_is_taken_up_too(stops: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the whole command, with ``--engine here``."""
    race_plan(arms=TWO)
    ran: list[tuple[str, int]] = []

    def curve(words: list[str]) -> int:
        if len(ran) == stops:
            raise KeyboardInterrupt
        tracking = tuple(word for word in words if word.startswith("--tracking."))
        (seed,) = (int(word.partition("=")[2]) for word in words if word.startswith("--seed_everything="))
        tags = next(word for word in tracking if word.startswith("--tracking.tags="))
        arm = json.loads(tags.partition("=")[2])[names.TAG_SWEEP_ARM]
        ran.append((arm, seed))
        trial = Trial("", (), arm, "repeat", seed, {}, tracking)
        log_seeded(trial, RaceEngine(CLEAR).final(trial))
        return 0

    command = ["--config", "plan.yaml", "--engine", "here"]
    assert sweep(command, curve) == 130
    shown = capsys.readouterr().out
    assert f"{stops} of 6 trials have results" in shown
    stops = -1
    assert sweep(command, curve) == 0
    shown = capsys.readouterr().out
    assert "look at 3 seeds: adam is better than sgd\n" in shown
    assert sorted(ran) == [(arm, seed) for arm in ("adam", "sgd") for seed in (1, 2, 3)]
    assert seeds_of(compared_race()) == {"sgd": 3, "adam": 3}
    assert "has won the race by final validation accuracy, after three seeds." in shown
    assert Path("mlruns/sweeps/plan.html").is_file()


@pytest.mark.parametrize(
    ("first", "then", "key"),
    [
        ({}, {"question": "speed"}, "question"),
        ({"question": "speed"}, {"question": "final"}, "question"),
        ({"question": "speed", "target": 0.5}, {"question": "speed", "target": 0.6}, "target"),
    ],
)
def test_what_decides_may_not_be_chosen_after_looking(
    first: dict[str, object], then: dict[str, object], key: str
) -> None:
    run_race(race_plan(arms=TWO, race={"max_seeds": 3, **first}), RaceEngine(NOISY))
    with pytest.raises(UserError, match=rf"sweep\.race\.{key}: the race was begun with question: "):
        run_race(race_plan(arms=TWO, race={"max_seeds": 3, **then}), RaceEngine(NOISY))


def test_an_arm_that_is_taken_out_after_looking_still_counts() -> None:
    run_race(race_plan(race={"max_seeds": 4}), RaceEngine(NOISY))
    run_race(race_plan(arms=TWO, race={"max_seeds": 6}), RaceEngine(NOISY))
    found = compared_race()
    assert (found.rules.arms, found.rules.counted) == (2, 3)
    assert deciding(found.rules, 6) == Look(3, 2, DECIDING)


@pytest.mark.slow
def test_a_decided_race_stays_decided_when_its_plan_allows_fewer_seeds_again() -> None:
    run_race(race_plan("--seeds", "8"), RaceEngine(CLEAR))
    before = compared_race()
    engine = RaceEngine(CLEAR)
    status, _, said = run_race(race_plan("--seeds", "4"), engine)
    assert (status, engine.ran) == (0, [])
    assert "the race was looked at with 8 seeds before, more than 4; these looks count" in said
    assert decisions_of(compared_race()) == decisions_of(before)
    assert not any("the plan has changed" in line or "set aside" in line for line in said)
