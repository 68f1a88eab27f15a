"""Best rates of made-up curves whose answer is known, and the coverage of their interval."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lit_lossopt.comparison.measures.rate_shift import best_rate, rate_shift

Floats = NDArray[np.float64]
GRID: Floats = np.linspace(-4.0, 0.0, 9)
UNEVEN: Floats = np.array([-4.0, -3.7, -3.0, -2.9, -2.0, -1.2, -1.0, -0.1])


def parabola(logs: Floats, vertex: float, height: float = 0.9, width: float = 0.1) -> Floats:
    curve: Floats = height - width * (logs - vertex) ** 2
    return curve


@given(vertex=st.floats(-3.4, -0.6), width=st.floats(0.01, 10.0))
@pytest.mark.parametrize("logs", [GRID, UNEVEN], ids=["even", "uneven"])
def test_the_vertex_of_a_parabola_is_found_exactly(logs: Floats, vertex: float, width: float) -> None:
    log, end = best_rate(logs, parabola(logs, vertex, width=width), np.ones(len(logs), bool))
    assert log == pytest.approx(vertex, abs=1e-6)
    assert end == 0


# (log10 rates, scores, rates that can be best, best log10 rate, end)
CASES: dict[str, tuple[list[float], list[float], list[bool], float, int]] = {
    "at the lowest": ([-3, -2, -1], [0.9, 0.8, 0.7], [True] * 3, -3, -1),
    "at the highest": ([-3, -2, -1], [0.7, 0.8, 0.9], [True] * 3, -1, 1),
    "two equal ones": ([-4, -3, -2, -1], [0.5, 0.9, 0.9, 0.5], [True] * 4, -2.5, 0),
    "a plateau": ([-4, -3, -2, -1, 0], [0.5, 0.9, 0.9, 0.9, 0.5], [True] * 5, -2, 0),
    "a diverged rate is never the best": ([-3, -2, -1], [0.5, 0.8, 0.95], [True, True, False], -2, 0),
    "a diverged rate counts at its last value": ([-3, -2, -1], [0.8, 0.9, 0.8], [True, True, False], -2, 0),
    "behind the best only divergence": ([-3, -2, -1], [0.8, 0.9, 0.1], [True, True, False], -2.5 + 0.1 / 0.9, 0),
    "an unknown value beside it": ([-3, -2, -1], [0.8, 0.9, float("nan")], [True] * 3, -2, 0),
    "everything equal": ([-3, -2, -1], [0.1, 0.1, 0.1], [True] * 3, -2, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_best_rate(case: str) -> None:
    logs, scores, able, best, end = CASES[case]
    found, side = best_rate(logs, scores, able)
    assert found == pytest.approx(best)
    assert side == end


def test_where_every_run_diverged_there_is_no_best_rate() -> None:
    assert isnan(best_rate([-2, -1], [0.5, 0.6], [False, False])[0])


@given(seed=st.integers(0, 1000))
def test_the_best_rate_is_within_half_a_step_of_a_tried_one_that_is_best(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=len(GRID))
    log, end = best_rate(GRID, scores, np.ones(len(GRID), bool))
    assert abs(log - GRID[np.argmax(scores)]) <= 0.25 + 1e-12
    assert (end != 0) == (int(np.argmax(scores)) in (0, len(GRID) - 1))


def seeds_of_a_loss(random: np.random.Generator, vertex: float, seeds: int) -> list[float]:
    """Return best rates of noisy curves whose own vertex differs from seed to seed."""
    own = vertex + 0.15 * random.normal(size=seeds)
    curves = [parabola(GRID, best) + 0.001 * random.normal(size=len(GRID)) for best in own]
    return [best_rate(GRID, curve, np.ones(len(GRID), bool))[0] for curve in curves]


def test_a_shift_of_three_quarters_of_a_decade() -> None:
    random = np.random.default_rng(0)
    shift = rate_shift(seeds_of_a_loss(random, -1.5, 400), seeds_of_a_loss(random, -2.25, 400))
    assert np.log10(shift.value) == pytest.approx(0.75, abs=0.03)
    assert shift.low < 10**0.75 < shift.high
    assert shift.n == 400


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_the_true_shift_in_95_per_cent_of_cases(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    covered = 0
    for _ in range(1000):
        shift = rate_shift(seeds_of_a_loss(random, -1.5, seeds), seeds_of_a_loss(random, -2.25, seeds))
        covered += shift.low <= 10**0.75 <= shift.high
    # Three standard deviations of 1,000 draws.
    assert covered / 1000 == pytest.approx(0.95, abs=0.021)


def test_one_seed_has_no_interval() -> None:
    shift = rate_shift([-1.0], [-2.0])
    assert shift.value == pytest.approx(10.0)
    assert shift.n == 1
    assert isnan(shift.low)


@given(st.lists(st.tuples(st.floats(-5, 0), st.floats(-5, 0)), min_size=2, max_size=6))
def test_turned_round_the_factor_is_its_inverse(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    one, other = rate_shift(first, second), rate_shift(second, first)
    assert np.log10(one.value) == pytest.approx(-np.log10(other.value), abs=1e-6)
