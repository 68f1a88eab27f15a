from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.comparison.report.curves import extremes, grid, middle, on_grid, regular, smooth


def test_the_running_mean_is_the_slow_one() -> None:
    values = np.random.default_rng(0).normal(size=300)
    found = smooth(values)
    for k in range(300):
        reach = int(min(0.2 * k, 0.02 * 300))
        assert found[k] == pytest.approx(values[max(0, k - reach) : k + reach + 1].mean())


def test_a_straight_line_stays_straight_and_a_broken_value_breaks_its_windows_only() -> None:
    line = np.arange(200.0)
    np.testing.assert_allclose(smooth(line)[:190], line[:190])
    line[100] = np.inf
    broken = np.flatnonzero(np.isnan(smooth(line)))
    assert (broken.min(), broken.max()) == (96, 104)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 40))
def test_thinning_keeps_the_extremes_the_ends_and_few_enough(values: list[float], buckets: int) -> None:
    array = np.array(values)
    kept = extremes(np.arange(len(array), dtype=np.float64), array, buckets)
    assert len(kept) <= 2 * buckets + 2
    assert (kept[0], kept[-1]) == (0, len(array) - 1)
    assert array[kept].min() == array.min()
    assert array[kept].max() == array.max()
    assert np.all(np.diff(kept) > 0)


def test_thinning_leaves_out_what_is_not_finite() -> None:
    values = np.array([1.0, np.nan, np.inf, 2.0])
    assert extremes(np.arange(4.0), values, 1).tolist() == [0, 3]


def test_a_run_that_diverged_counts_as_the_worst_from_there_on() -> None:
    rows = np.array([[1.0, 1.0, np.nan], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    centre, low, high = middle(rows, np.array([True, False, False]), np.inf)
    assert centre.tolist() == [2, 2, 3]
    assert (low.tolist(), high.tolist()) == ([1, 1, 2], [3, 3, 3])
    left_out = middle(rows, np.zeros(3, dtype=bool), np.inf)[0]
    assert left_out.tolist() == [2, 2, 2.5]


def test_where_half_have_diverged_there_is_no_middle() -> None:
    rows = np.array([[1.0, np.nan], [2.0, 5.0]])
    centre, low, _ = middle(rows, np.array([True, False]), np.inf)
    assert centre[0] == 1.5
    assert np.isnan(centre[1])
    assert low.tolist() == [1, 5]


def test_where_no_run_is_there_is_nothing() -> None:
    found = middle(np.full((2, 3), np.nan), np.array([True, False]), np.inf)
    assert all(np.isnan(part).all() for part in found)


def test_a_grid_is_of_whole_steps_dense_at_the_start() -> None:
    points = grid(0, 10_000)
    assert points[0] == 0
    assert points[-1] == 10_000
    assert points[:8].tolist() == list(range(8))
    assert np.all(points == np.round(points))


def test_values_are_known_within_a_run_only() -> None:
    found = on_grid(np.array([0.0, 1.5, 9.0]), np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    np.testing.assert_array_equal(found, [np.nan, 15, np.nan])
    assert np.isnan(on_grid(np.array([1.0]), np.empty(0), np.empty(0))).all()


@pytest.mark.parametrize(
    ("steps", "expected"), [([0, 1, 2], (0, 1)), ([5, 15], (5, 10)), ([0, 1, 3], None), ([], None), ([7], (7, 1))]
)
def test_even_steps_are_told(steps: list[float], expected: tuple[float, float] | None) -> None:
    assert regular(steps) == expected
