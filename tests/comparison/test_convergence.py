"""Curves whose answer is known, and laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lit_lossopt.comparison.measures.convergence import (
    area_under_curve,
    best_value,
    final_value,
    median_of_three,
    near_best,
    reach,
)

Floats = NDArray[np.float64]
SHARES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


def at(*values: float) -> Floats:
    return np.array(values)


@pytest.mark.parametrize(
    ("values", "smooth"),
    [
        ([], []),
        ([3], [3]),
        ([3, 1], [3, 1]),
        ([0, 9, 1, 2], [0, 1, 2, 2]),
        ([5, 1, 1, 7, 2], [5, 1, 1, 2, 2]),
    ],
)
def test_median_of_three(values: list[float], smooth: list[float]) -> None:
    assert median_of_three(at(*values)).tolist() == smooth


@pytest.mark.parametrize(
    ("values", "target", "answer"),
    [
        ([0.0, 0.2, 0.4, 0.6, 0.8], 0.5, 250.0),
        ([0.0, 0.2, 0.4, 0.6, 0.8], 0.8, 400.0),
        ([0.0, 0.2, 0.4, 0.6, 0.8], 0.81, inf),
        # One lucky evaluation is smoothed away.
        ([0.0, 0.0, 0.9, 0.0, 0.0], 0.5, inf),
        # Two are smoothed to two, and hold.
        ([0.0, 0.0, 0.9, 0.9, 0.0, 0.0], 0.45, 150.0),
        # At the last evaluation alone counts; its end is not smoothed.
        ([0.0, 0.0, 0.0, 0.9], 0.45, 250.0),
        # A target that was met before training.
        ([0.5, 0.6, 0.7], 0.4, 0.0),
        ([0.7], 0.5, 0.0),
        ([0.3], 0.5, inf),
        ([], 0.5, inf),
    ],
)
def test_reach(values: list[float], target: float, answer: float) -> None:
    steps = np.arange(float(len(values))) * 100
    assert reach(steps, at(*values), target) == pytest.approx(answer)
    mirrored = reach(steps, -at(*values), -target, higher_is_better=False)
    assert mirrored == pytest.approx(answer)


def test_the_target_must_hold_at_the_next_evaluation() -> None:
    # Smoothed: 0, .6, .6, .2, .2, .7, .7 – both .6 hold; with the target between them only the later two do.
    values = at(0.0, 0.6, 0.6, 0.2, 0.2, 0.7, 0.7)
    steps = np.arange(7.0)
    assert reach(steps, values, 0.6) == 1.0
    assert 4 < reach(steps, values, 0.65) < 5


def test_seconds_that_are_not_known_give_no_answer_and_a_miss_stays_one() -> None:
    values = at(0.0, 0.2, 0.4)
    assert isnan(reach(np.full(3, nan), values, 0.3))
    assert reach(np.full(3, nan), values, 0.9) == inf


@given(
    st.lists(st.integers(0, 64), min_size=1, max_size=30),
    st.integers(0, 64),
    st.sampled_from([np.sqrt, np.log1p, lambda x: 3 * x + 2, lambda x: x**3]),
)
def test_which_evaluation_reaches_survives_monotone_transforms(
    numbers: list[int], below: int, rule: Callable[[Floats], Floats]
) -> None:
    # The median commutes with them; only the interpolation between two evaluations moves. No value is the target.
    values, target, steps = np.array(numbers) / 64, np.array([below / 64 + 1 / 128]), np.arange(float(len(numbers)))
    before = reach(steps, values, float(target[0]))
    after = reach(steps, rule(values), float(rule(target)[0]))
    assert np.ceil(after) == np.ceil(before)


@given(SHARES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_target_is_never_reached_sooner(values: list[float], one: float, other: float) -> None:
    steps = np.arange(len(values), dtype=float)
    low, high = sorted((one, other))
    assert reach(steps, at(*values), low) <= reach(steps, at(*values), high) + 1e-9


def test_area_is_the_mean_over_the_budget() -> None:
    assert area_under_curve(at(0, 100), at(0.0, 1.0)) == 0.5
    # Unequal distances: the triangle weighs a tenth.
    assert area_under_curve(at(0, 10, 100), at(0.0, 1.0, 1.0)) == pytest.approx(0.95)
    assert area_under_curve(at(5), at(0.3)) == 0.3
    assert isnan(area_under_curve(at(), at()))
    # A run that ended early counts at its last value.
    assert area_under_curve(at(0, 50), at(0.4, 0.4), budget=100) == pytest.approx(0.4)
    assert area_under_curve(at(0, 50), at(0.0, 1.0), budget=100) == pytest.approx(0.75)


def test_final_is_the_mean_of_the_last_tenth() -> None:
    assert final_value(np.arange(20.0)) == 18.5
    assert final_value(np.arange(19.0)) == 18
    assert final_value(at(0.5)) == 0.5
    assert isnan(final_value(at()))


def test_best_and_when() -> None:
    assert best_value(at(0, 10, 20, 30), at(1, 4, 4, 2)) == (4, 10)
    assert best_value(at(0, 10, 20, 30), at(4, 1, 3, 1), higher_is_better=False) == (1, 10)
    value, step = best_value(at(), at())
    assert isnan(value)
    assert step == -1


def test_near_the_best() -> None:
    assert near_best(0.8, 0.1) == pytest.approx(0.76)
    # 95 % of the way down from 2.3 to 0.3.
    assert near_best(0.3, 2.3, higher_is_better=False) == pytest.approx(0.4)
    assert near_best(0.0, 2.0, higher_is_better=False) == pytest.approx(0.1)
    # Where training led nowhere, the best itself; a negative score has no share.
    assert near_best(3.0, 2.3, higher_is_better=False) == 3.0
    assert near_best(-1.0, -3.0) == pytest.approx(-1.1)
