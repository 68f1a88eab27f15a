"""The JSON of a comparison: that it fits its schema, and holds each number as it was computed."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import cache
from math import inf, isinf, isnan, nan, nextafter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lit_lossopt.comparison.comparison import Comparison, LeftOut
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.comparison.record.build import digest
from lit_lossopt.comparison.record.records import Record
from lit_lossopt.comparison.record.text import as_tree, schema
from lit_lossopt.tracking.reading.runs import History
from tests.comparison import test_losses_and_rates, test_race, test_special_cases
from tests.comparison.test_compare_arms import three_arms
from tests.comparison.test_words import SITUATIONS, diverged, sixty_arms, winner
from tests.support import record_schema
from tests.support.recorded import fits, misfits, number, objects_in, tree_of
from tests.support.synthetic_runs import arm, compared, history, rising, run


def tuned() -> Comparison:
    rates = [(0.001, 0.6, "completed"), (0.01, 0.71, "completed"), (0.1, 0.3, "diverged"), (1.0, 0.9, "failed")]
    tuning = [
        arm(f"adam lr={rate}", [run(np.full(21, final), arm=f"tuning {rate}", verdict=verdict)], rate, "adam")
        for rate, final, verdict in rates
    ]
    made = [replace(one, learning_rate=0.01) for one in three_arms()]
    return compared(made, tuning=tuning, left_out=[LeftOut("1" * 32, "gone", "deleted")])


def race() -> Comparison:
    return compared(test_race.arms_of_race(test_race.rules(), dict.fromkeys(test_race.LEVELS, 32)))


def race_that_an_arm_left() -> Comparison:
    return compared(test_race.arms_of_race(test_race.rules(), {"adam": 8, "rmsprop": 8, "sgd": 3}))


def race_by_speed() -> Comparison:
    said = test_race.rules(question=SPEED, margin=1.15, target=0.4)
    return compared(test_race.arms_of_race(said, dict.fromkeys(test_race.LEVELS, 8), {"sgd": 300}))


def at_any_time() -> Comparison:
    return compared(three_arms(), sequential=True)


def rates_at_an_edge() -> Comparison:
    grid = (0.0001, 0.001, 0.01)
    return test_losses_and_rates.comparison(test_losses_and_rates.swept(["ce", "mse"], grid=grid))


def broken_before_any_evaluation() -> Comparison:
    gone = [run(None, arm="sgd", seed=seed, verdict="diverged") for seed in range(8)]
    return compared([*three_arms()[:2], arm("sgd", gone)])


def endless_losses() -> Comparison:
    losses = [2.0, 1.0, inf, -inf, nan]
    return compared([arm("sgd", [run(rising(100), losses=losses, more={"val/loss": history([2.0, inf])})])])


def without_seeds() -> Comparison:
    return compared([arm(name, [run(rising(100), arm=name, seed=None)]) for name in ("adam", "sgd")])


def nothing_known_of_special_cases() -> Comparison:
    return test_special_cases.swept([test_special_cases.NESTEROV], test_special_cases.SGD)


KINDS: tuple[Callable[[], Comparison], ...] = (
    # Thousands of contrasts say no more than those of many arms.
    *(kind for kind in SITUATIONS if kind is not sixty_arms), tuned, race, race_that_an_arm_left, race_by_speed,
    at_any_time, rates_at_an_edge, broken_before_any_evaluation, endless_losses, without_seeds,
    nothing_known_of_special_cases,
)  # fmt: skip


@cache
def tree(kind: Callable[[], Comparison]) -> dict[str, Any]:
    return tree_of(kind())


def test_the_schema_is_that_of_the_records() -> None:
    assert schema() == record_schema.made()
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_json_of_each_kind_of_comparison_fits_the_schema(kind: Callable[[], Comparison]) -> None:
    assert not misfits(tree(kind))


def test_every_record_of_the_schema_is_seen_and_its_keys_are_in_their_order() -> None:
    known = schema()["$defs"]
    seen = set()
    for kind in KINDS:
        for name, found in objects_in(tree(kind)):
            assert list(found) == list(known[name]["properties"])
            seen.add(name)
    # An expectation is seen in test_expectation_command.
    assert seen == set(known) - {"number", "Expectation"}
    assert list(tree(winner)) == [one.name for one in fields(Record)]


def spoilt(change: Callable[[Any], object]) -> dict[str, Any]:
    found = copy.deepcopy(tree(winner))
    change(found)
    return found


SPOILS: dict[str, Callable[[Any], object]] = {
    "a key is missing": lambda found: found.pop("arms"),
    "a key of an arm is missing": lambda found: found["arms"][0].pop("final"),
    "a property is missing": lambda found: found["contrasts"][0].pop("decision"),
    "one key more": lambda found: found.update(more=1),
    "one key more in an estimate": lambda found: found["arms"][0]["final"].update(middle=1.0),
    "text for a number": lambda found: found["question"].update(target="0.9"),
    "another word for a number": lambda found: found["arms"][0]["final"].update(high="inf"),
    "a number for text": lambda found: found["runs"][0].update(seed=1),
    "half a step": lambda found: found["runs"][0].update(best_step=0.5),
    "a number for a switch": lambda found: found["contrasts"][0].update(claimed=1),
    "another decision": lambda found: found["contrasts"][0].update(decision="maybe"),
    "null for a list": lambda found: found.update(notes=None),
    "null for text": lambda found: found["arms"][0].update(name=None),
    "one of two": lambda found: found["contrasts"][0].update(missed=[0]),
    "another format": lambda found: found.update(format="lit_lossopt sweep"),
    "another version": lambda found: found.update(version=2),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_is_spoilt_does_not_fit(spoil: str) -> None:
    assert fits(tree(winner))
    assert not fits(spoilt(SPOILS[spoil]))


def same(value: float, stored: Any) -> bool:
    """Return whether the JSON has a number to the last bit."""
    found = number(stored)
    return isnan(found) if isnan(value) else repr(float(found)) == repr(float(value))


def all_same(values: Iterable[float], stored: list[Any]) -> bool:
    return all(same(value, one) for value, one in zip(values, stored, strict=True))


@pytest.mark.parametrize("kind", [winner, diverged, race, broken_before_any_evaluation], ids=lambda kind: kind.__name__)
def test_numbers_are_unrounded(kind: Callable[[], Comparison]) -> None:
    found, stored = kind(), tree(kind)
    assert [one.name for one in found.arms] == [one["name"] for one in stored["arms"]]
    for arm_, kept in zip(found.arms, stored["arms"], strict=True):
        for name in ("final", "best", "area", "steps_to_target", "ripple", "roughness", "climb_back"):
            estimate = getattr(arm_, name)
            assert all_same((estimate.value, estimate.low, estimate.high, estimate.n), list(kept[name].values()))
    trials = [trial for arm_ in found.arms for trial in arm_.trials]
    for trial, kept in zip(trials, stored["runs"], strict=True):
        assert (kept["run_id"], kept["arm"]) == (trial.run.run_id, trial.arm)
        assert all_same(trial.curve.values.tolist(), kept["evaluations"]["values"])
        assert all_same(trial.axis.tolist(), kept["evaluations"]["places"])
        for name in ("final", "best", "area", "steps_to_target", "seconds_to_target", "end", "climb_back"):
            assert same(getattr(trial, name), kept[name])
    for contrast, kept in zip(found.contrasts, stored["contrasts"], strict=True):
        assert all_same(contrast.leads, kept["leads"])
        assert same(contrast.p, kept["p"])
        assert same(contrast.p_adjusted, kept["p_adjusted"])
        assert all_same((contrast.difference.low, contrast.difference.high), list(kept["difference"].values())[1:3])
    assert same(found.level, stored["question"]["level"])


@given(st.floats())
def test_each_float_comes_back(value: float) -> None:
    assert same(value, json.loads(json.dumps(as_tree({"x": (value,)}), allow_nan=False))["x"][0])


def test_never_is_told_from_not_known() -> None:
    never = tree(diverged)["runs"]
    assert {one["steps_to_target"] for one in never if one["verdict"] == "diverged"} == {"infinity"}
    assert {one["final"] for one in tree(broken_before_any_evaluation)["runs"] if one["arm"] == "sgd"} == {None}


@pytest.mark.parametrize("arms", [2, 3])
def test_all_pairs_are_there_whatever_is_shown(arms: int) -> None:
    made = three_arms()[:arms]
    few, every = compared(made), compared(made, all_pairs=True)
    stored = tree_of(few)["contrasts"]
    assert stored == tree_of(every)["contrasts"]
    pairs = {(one["quantity"], *sorted((one["first"], one["second"]))) for one in stored}
    assert len(stored) == len(pairs) == 3 * arms * (arms - 1) // 2
    assert {one["test"] for one in stored} == {"paired t"}
    assert tree_of(few)["question"]["comparisons"] == len(stored)


POINTS = st.lists(st.floats(), min_size=1, max_size=9)


@given(POINTS, st.data())
def test_a_digest_is_of_steps_and_values_alone(values: list[float], data: st.DataObject) -> None:
    steps = np.arange(len(values)) * 10
    made = digest(history(values, steps))
    later = History(steps, np.array(values), np.arange(len(values)) * 7)
    assert repr(digest(later)) == repr(made)
    at = data.draw(st.integers(0, len(values) - 1))
    moved = np.array(values)
    moved[at] = 0.0 if isnan(values[at]) or isinf(values[at]) else nextafter(values[at], 0.0 if values[at] else 1.0)
    assert digest(history(moved, steps)).sha256 != made.sha256
    assert digest(history(values, steps + 1)).sha256 != made.sha256
    assert digest(history([*values, values[-1]], [*steps, 10 * len(values)])).sha256 != made.sha256


@given(POINTS)
def test_a_digest_can_be_computed_by_what_the_schema_says(values: list[float]) -> None:
    made = digest(history(values, range(len(values))))
    numbers = [nan if isnan(value) else value for value in values]
    parts = [struct.pack("<q", step) for step in range(len(values))] + [struct.pack("<d", one) for one in numbers]
    assert made.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert (made.points, repr(made.last)) == (len(values), repr(float(values[-1])))


def test_one_loss_that_differs_by_the_last_bit_is_seen_in_one_digest_alone() -> None:
    def digests(change: float) -> list[str]:
        losses = np.linspace(2, 1, 100)
        losses[40] = np.nextafter(losses[40], change)
        runs = tree_of(compared([arm("sgd", [run(rising(100), losses=losses)])]))["runs"]
        return [f"{name} {one['sha256']}" for name, one in runs[0]["histories"].items()]

    assert {one.partition(" ")[0] for one in set(digests(0)) ^ set(digests(3))} == {"train/loss"}
    assert digests(0) == digests(0)
