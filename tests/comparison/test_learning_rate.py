"""Windows of learning rates and budget curves whose answer is known."""

from __future__ import annotations

import itertools
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.comparison.comparison import Sensitivity
from lit_lossopt.comparison.measures.learning_rate import budget_curve, sensitivity

DONE = "completed"


def curve(*points: tuple[float, float, str], **options: float) -> Sensitivity:
    found = sensitivity("adam", points, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_window_is_interpolated_on_the_log_axis() -> None:
    # Best .8 at .01; .76 counts; linear in the decade: .6 → .8 crosses .76 at four fifths of it.
    found = curve((0.001, 0.6, DONE), (0.01, 0.8, DONE), (0.1, 0.7, DONE), (1.0, 0.1, "diverged"))
    assert found.best_rate == 0.01
    assert found.window == pytest.approx((10**-2.2, 10**-1.6))
    assert found.decades == pytest.approx(0.6)
    assert not found.open_low
    assert not found.open_high
    assert found.diverging == 1.0
    assert found.decades_to_divergence == pytest.approx(2)


def test_a_window_that_touches_the_end_is_open_and_stops_at_a_dip() -> None:
    found = curve((0.001, 0.8, DONE), (0.01, 0.79, DONE), (0.1, 0.2, DONE), (1.0, 0.8, DONE))
    assert found.best_rate == 0.001
    assert found.open_low
    assert not found.open_high
    assert 0.01 < found.window[1] < 0.1
    assert isnan(found.diverging)
    assert isnan(found.decades_to_divergence)


def test_seeds_of_a_rate_are_averaged_and_order_does_not_matter() -> None:
    points = [(0.1, 0.6, DONE), (0.1, 0.8, DONE), (0.01, 0.5, DONE), (nan, 0.9, DONE), (1.0, nan, DONE)]
    found = curve(*points)
    assert found.rates.tolist() == [0.01, 0.1]
    assert found.finals == pytest.approx([0.5, 0.7])
    assert curve(*reversed(points)).window == found.window


def test_where_lower_is_better() -> None:
    found = curve((0.001, 1.0, DONE), (0.01, 0.3, DONE), (0.1, 1.3, DONE), start=2.3, higher_is_better=False)
    # .4 counts: a seventh of the decade below, a tenth of the one above.
    assert found.window == pytest.approx((10 ** (-2 - 1 / 7), 10**-1.9))


def test_the_smallest_diverging_rate_above_the_best() -> None:
    found = curve((0.001, 0.1, "diverged"), (0.01, 0.8, DONE), (0.1, 0.7, "diverged"), (0.3, 0.1, "diverged"))
    assert found.diverging == 0.1


@pytest.mark.parametrize("points", [[], [(0.1, 0.5, DONE)], [(0.1, 0.5, DONE), (0.1, 0.6, DONE)], [(nan, 0.5, DONE)]])
def test_one_rate_is_no_curve(points: list[tuple[float, float, str]]) -> None:
    assert sensitivity("adam", points) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=7))
def test_the_budget_curve_against_all_subsets(finals: list[float]) -> None:
    found = budget_curve(finals)
    lowest = budget_curve(finals, higher_is_better=False)
    for k in range(1, len(finals) + 1):
        subsets = list(itertools.combinations(finals, k))
        assert found[k - 1] == pytest.approx(np.mean([max(subset) for subset in subsets]))
        assert lowest[k - 1] == pytest.approx(np.mean([min(subset) for subset in subsets]))


def test_budget_curves_of_nothing_and_of_many() -> None:
    assert budget_curve([]).tolist() == []
    assert budget_curve([nan, 0.5]).tolist() == [0.5]
    many = budget_curve(list(np.linspace(0, 1, 100)))
    assert many[0] == pytest.approx(0.5)
    assert many[-1] == 1.0
    assert np.all(np.diff(many) > 0)
