"""Runs that were made again: what counts as the same, and what another machine may change."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run
from lit_lossopt.verify.agreement import FIRST_STEP, FIRST_STEPS, LEAST, agreement, far_apart
from lit_lossopt.verify.checks import chosen, of_a_repetition
from lit_lossopt.verify.recorded import Recorded, command_of, why_not
from lit_lossopt.verify.rerun import Repeated

CONFIG = "seed_everything: 3\ntrainer:\n  max_epochs: 1\n"
PROVENANCE = {"packages": {"torch": "2.10"}, "machine": {"processor": "one"}, "code": {"commit": "a"}}
HERE = Recorded(CONFIG, PROVENANCE)


def run(losses: list[float], accuracy: list[float], **others: list[float]) -> Run:
    """Return a run with a loss at each step, an accuracy at each tenth, and other metrics."""
    histories = {names.TRAIN_LOSS: losses, "val/accuracy": accuracy, **others}
    made = {name: History(np.arange(len(values)), np.array(values, np.float64)) for name, values in histories.items()}
    tags = {names.TAG_VERDICT: "completed"}
    return Run("0" * 32, "adam", "FINISHED", {"lr": "0.1"}, tags, {}, histories=made)


def like(one: Run, **changes: Any) -> Run:
    """Return the run with some histories replaced."""
    return replace(one, histories={**one.histories, **changes})


RUN = run([2.0, 1.5, 1.0], [0.1, 0.9])


def test_the_same_run_agrees_and_every_value_is_counted() -> None:
    found = agreement(RUN, RUN, CONFIG, CONFIG)
    assert (found.values, found.metrics, found.differences) == (5, 2, ())


def test_what_is_not_a_number_agrees_with_itself() -> None:
    broken = run([2.0, nan, inf, -inf], [0.1])
    assert agreement(broken, broken, CONFIG, CONFIG).differences == ()


@given(st.integers(0, 2), st.booleans())
def test_one_bit_of_one_step_is_named(step: int, up: bool) -> None:
    losses = [2.0, 1.5, 1.0]
    losses[step] = float(np.nextafter(losses[step], inf if up else -inf))
    (found,) = agreement(RUN, run(losses, [0.1, 0.9]), CONFIG, CONFIG).differences
    assert found.place == (names.TRAIN_LOSS, f"step {step}")
    assert (found.recorded, found.found) == ([2.0, 1.5, 1.0][step], losses[step])


def test_steps_and_metrics_that_lack_are_named() -> None:
    shorter = agreement(RUN, run([2.0, 1.5], [0.1, 0.9]), CONFIG, CONFIG).differences
    assert [(one.place, one.recorded, one.found) for one in shorter] == [((names.TRAIN_LOSS, "step 2"), 1.0, None)]
    more = agreement(RUN, like(RUN, extra=History(np.array([4]), np.array([0.5]))), CONFIG, CONFIG).differences
    assert [(one.place, one.recorded, one.found) for one in more] == [(("extra", "step 4"), None, 0.5)]


def test_the_clock_and_later_tests_do_not_count() -> None:
    later = History(np.array([3]), np.array([7.0]))
    tested = like(RUN, **{names.TRAIN_SECONDS: later, "test/accuracy": later, "system/cpu": later})
    assert agreement(tested, RUN, CONFIG, CONFIG).differences == ()


@pytest.mark.parametrize(
    ("again", "config", "named"),
    [
        (replace(RUN, params={"lr": "0.2"}), CONFIG, "lr: 0.1 is recorded, and 0.2 comes from"),
        (replace(RUN, tags={names.TAG_VERDICT: "diverged"}), CONFIG, "verdict: 'completed' is recorded"),
        (RUN, CONFIG.replace("1", "2"), "config.yaml, trainer, max_epochs: 1 is recorded, and 2 comes from"),
        (RUN, CONFIG + "extra: 1\n", "config.yaml, extra: nothing is recorded, and 1 comes from"),
    ],
)
def test_settings_that_differ_are_named(again: Run, config: str, named: str) -> None:
    (found,) = agreement(RUN, again, CONFIG, config).differences
    assert found.in_words("there").startswith(named)


def test_numbers_that_are_written_otherwise_are_the_same_setting() -> None:
    again = replace(RUN, params={"lr": "1e-1"})
    assert agreement(RUN, again, CONFIG, CONFIG.replace("1", "1.0")).differences == ()


FAR = {
    "the same": (RUN, 0),
    "the first loss by rounding": (run([2.0 * (1 + FIRST_STEP / 2), 1.5, 1.0], [0.1, 0.9]), 0),
    "the first loss by more": (run([2.0 * (1 + FIRST_STEP * 2), 1.5, 1.0], [0.1, 0.9]), 1),
    "the second loss by a little": (run([2.0, 1.5 * (1 + FIRST_STEPS / 2), 1.0], [0.1, 0.9]), 0),
    "the second loss by more": (run([2.0, 1.5 * (1 + FIRST_STEPS * 2), 1.0], [0.1, 0.9]), 1),
    "the end by a little": (run([2.0, 1.5, 1.0], [0.1, 0.9 - LEAST / 2]), 0),
    "the end by more": (run([2.0, 1.5, 1.0], [0.1, 0.9 - LEAST * 6]), 1),
    "the begin by more": (run([2.0, 1.5, 1.0], [0.1 + LEAST * 6, 0.9]), 1),
    "an evaluation more": (run([2.0, 1.5, 1.0], [0.1, 0.9, 0.9]), 1),
    "no end": (run([2.0, 1.5, 1.0], []), 1),
    "no number": (run([2.0, 1.5, 1.0], [0.1, nan]), 1),
}


@pytest.mark.parametrize("case", FAR)
def test_on_another_machine_there_are_tolerances(case: str) -> None:
    again, count = FAR[case]
    assert len(list(far_apart(RUN, again, "val/accuracy", []))) == count


def test_seeds_that_differ_much_leave_more_room() -> None:
    again = run([2.0, 1.5, 1.0], [0.1, 0.5])
    near, far = ([run([2.0, 1.5, 1.0], [0.1, 0.9 + by * apart]) for by in (-1, 0, 1)] for apart in (0.09, 0.11))
    assert len(list(far_apart(RUN, again, "val/accuracy", near))) == 1
    assert list(far_apart(RUN, again, "val/accuracy", far)) == []


def test_a_curve_that_was_drawn_better_is_seen_in_its_middle() -> None:
    honest = [2.0 - 0.01 * step for step in range(100)]
    drawn = [*honest[:20], *(loss / 2 for loss in honest[20:90]), *honest[90:]]
    then, again = run(drawn, [0.1, 0.5, 0.9]), run(honest, [0.1, 0.5, 0.9])
    (found,) = far_apart(then, again, "val/accuracy", [])
    assert found.place == (names.TRAIN_LOSS, "part 3 of 10")
    (found,) = far_apart(run(honest, [0.1, 0.8, 0.9]), again, "val/accuracy", [])
    assert found.place == ("val/accuracy", "step 1")


def repeated(again: Run, **changes: Any) -> Repeated:
    """Return a repetition that was made under other conditions."""
    return Repeated(again, Recorded(CONFIG, {**PROVENANCE, **changes}), 1.0)


def test_under_the_same_conditions_every_bit_counts() -> None:
    again = run([2.0 * (1 + 1e-9), 1.5, 1.0], [0.1, 0.9])
    assert of_a_repetition(RUN, HERE, repeated(again), "val/accuracy", []).wrong == 1
    found = of_a_repetition(RUN, HERE, repeated(again, packages={"torch": "2.11"}), "val/accuracy", [])
    assert found.wrong == 0
    assert "the same within tolerances" in found.lines[0]
    assert "since these differ: torch 2.10, now 2.11" in found.lines[0]


@pytest.mark.parametrize("changed", [{"machine": {"processor": "two"}}, {"source_sha256": "another"}])
def test_other_conditions_do_not_excuse_another_result(changed: dict[str, Any]) -> None:
    again = run([2.0, 1.5, 1.0], [0.1, 0.2])
    found = of_a_repetition(RUN, HERE, repeated(again, **changed), "val/accuracy", [])
    assert found.wrong == 1
    assert "it differs by more than" in found.lines[0]
    assert "val/accuracy, step 1: 0.9 is recorded, and 0.2 comes from the repetition" in found.lines[1]


def test_a_commit_excuses_only_code_that_is_in_it() -> None:
    again = run([2.0 * (1 + 1e-9), 1.5, 1.0], [0.1, 0.9])
    other = {"code": {"commit": "b", "dirty": True}}
    own = of_a_repetition(RUN, HERE, repeated(again, **other), "val/accuracy", [])
    assert own.wrong == 1
    assert "these differ, too: commit a, now b and files that differ from it none, now some" in own.lines[0]
    foreign = replace(RUN, tags={**RUN.tags, names.TAG_COMMAND: '["fit", "--allow-import=mine"]'})
    found = of_a_repetition(foreign, HERE, repeated(again, **other), "val/accuracy", [])
    assert (found.wrong, found.near) == (0, True)
    assert "the first that is not the same to the bit is train/loss, step 0: 2.0 is recorded" in found.lines[1]


def recorded(command: str, **changes: str) -> Run:
    """Return a run with a command line."""
    return replace(RUN, tags={names.TAG_COMMAND: command, **changes})


def test_a_command_gets_the_seed_and_the_threads_that_were_taken() -> None:
    plain = replace(recorded('["fit", "--config", "adam"]', **{names.TAG_SEED: "7"}), params={"threads": "2"})
    assert command_of(plain) == ["fit", "--config", "adam", "--seed_everything=7", "--threads=2"]
    said = recorded('["fit", "--seed_everything", "4", "--threads=1"]', **{names.TAG_SEED: "4"})
    assert command_of(replace(said, params={"threads": "1"})) == ["fit", "--seed_everything", "4", "--threads=1"]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (RUN, "it records no command line"),
        (recorded('["fit", "--data.key=***"]'), "its command line held a password"),
        (recorded("5"), "its command line was changed into something else"),
        (recorded("[5]"), "its command line was changed into something else"),
        (recorded('["fit", "--con'), "its command line was too long for the store"),
        (recorded('["fit", "--ckpt_path=last.ckpt"]'), "it went on from a checkpoint"),
        (recorded('["fit"]', **{names.TAG_CONTINUES: "1" * 32}), "it went on from a checkpoint"),
    ],
)
def test_runs_that_cannot_be_made_again_say_why(one: Run, reason: str) -> None:
    assert why_not(one, Recorded(CONFIG)) == reason


@pytest.mark.parametrize(
    ("folder", "is_elsewhere"),
    [
        ("/x", True),
        ("../x", True),
        ("x/../../y", True),
        ("s3://x", True),
        (".", True),
        ("./x", False),
        ("x", False),
    ],
)  # only a name
def test_runs_that_write_elsewhere_are_not_made_again(folder: str, is_elsewhere: bool) -> None:
    config = f"trainer:\n  callbacks:\n  - init_args:\n      dirpath: {folder}\n      monitor: null\n"
    assert Recorded(config).written() == [folder]
    assert bool(why_not(recorded('["fit"]'), Recorded(config))) is is_elsewhere


@given(st.integers(0, 20), st.integers(0, 12), st.integers())
def test_the_choice_depends_on_its_seed_alone(count: int, many: int, seed: int) -> None:
    runs = [replace(recorded('["fit"]'), run_id=f"{number + 1:032}") for number in range(many)]
    known = {one.run_id: HERE for one in (*runs, RUN)}
    picked, reasons = chosen([*runs, RUN], known, count, seed)
    assert len({one.run_id for one in picked}) == len(picked) == min(count, many)
    assert RUN not in picked
    assert chosen([*runs, RUN], known, count, seed) == (picked, reasons)
    assert reasons == ["it records no command line"]


def test_threads_that_the_machine_chose_are_those_that_were_taken() -> None:
    left_open, said = CONFIG + "threads: null\n", CONFIG + "threads: 2\n"
    two = replace(RUN, params={"threads": "2"})
    assert agreement(two, two, left_open, said).differences == ()
    (found,) = agreement(replace(RUN, params={"threads": "2"}), two, left_open, said.replace("2", "4")).differences
    assert found.place == ("config.yaml", "threads")
