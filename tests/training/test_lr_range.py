"""Reading a range test: curves whose answer is known, and laws that hold for any curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_lossopt.training.lr_find.curve import Array, RangeTest, geometric, read_curve

STEPS = 150
RATES = geometric(1e-7, 10, STEPS)
LOG = np.log10(RATES)
STEP = RATES[1] / RATES[0]


def sigmoid(values: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-values))
    return result


def valley(steepest: float = -3.0) -> Array:
    """Fall from 2.3 to 0.3, most steeply at 10^steepest; rise beyond 0.1."""
    result: Array = 2.3 - 2 * sigmoid((LOG - steepest) / 0.4) + 3 * np.maximum(LOG + 1, 0) ** 2
    return result


def noise(seed: int, size: float) -> Array:
    return np.asarray(size * np.random.default_rng(seed).normal(size=STEPS))


def near(rate: float | None, log_rate: float, steps: float) -> bool:
    return rate is not None and abs(np.log10(rate) - log_rate) <= steps * np.log10(STEP)


def read(losses: Array) -> RangeTest:
    return read_curve(RATES, losses.tolist())


@pytest.mark.parametrize("steepest", [-5.0, -4.0, -3.0, -2.0])
def test_a_valley(steepest: float) -> None:
    found = read(valley(steepest))
    assert not found.problem
    assert near(found.suggestion, steepest, 1)
    assert found.begins is not None
    # A tenth of the fall lies in front of σ(z) = 0.1.
    assert near(found.begins, steepest - 0.4 * np.log(9), 2.5)
    # Half of the fall of 2 is lost again where 3 (x + 1)² = 1.
    assert near(found.diverges, -1 + 1 / np.sqrt(3), 2)
    assert found.lowest is not None
    assert found.suggestion is not None
    assert found.suggestion < found.lowest < 0.2


def test_noise_moves_the_suggestion_little() -> None:
    found = [read(valley() + noise(seed, 0.1)).suggestion for seed in range(100)]
    away = np.array([np.nan if rate is None else np.log10(rate) + 3 for rate in found])
    assert np.abs(away.mean()) < 0.1
    assert away.std() < 0.3
    assert np.abs(away).max() < 1


@pytest.mark.parametrize("places", [(0,), (20,), (60, 61), (70, 90), (149,)])
@pytest.mark.parametrize("size", [50.0, -50.0])
def test_spikes_change_nothing_of_note(places: tuple[int, ...], size: float) -> None:
    losses = valley()
    losses[list(places)] += size
    found = read(losses)
    # One in the middle of the slope moves the steepest point by up to the reach of the median.
    assert near(found.suggestion, -3, 5)
    assert near(found.diverges, -1 + 1 / np.sqrt(3), 2)


def test_a_tail_that_is_not_finite_is_divergence() -> None:
    losses = valley()
    losses[100:] = np.nan
    losses[120:] = np.inf
    found = read(losses)
    assert near(found.suggestion, -3, 1)
    assert found.diverges == RATES[100]
    assert np.isnan(found.smoothed[100:]).all()
    assert np.isfinite(found.smoothed[:100]).all()


def test_an_explosion_does_not_bend_the_curve_in_front_of_it() -> None:
    losses = np.where(LOG < -1, valley(), 1e9)
    found = read(losses)
    assert near(found.suggestion, -3, 1)
    assert near(found.diverges, -1, 4)


@pytest.mark.parametrize("seed", range(20))
def test_flat_noise_suggests_nothing(seed: int) -> None:
    found = read(2.3 + noise(seed, 0.1))
    assert found.suggestion is None
    assert "never falls" in found.problem


@pytest.mark.parametrize("level", [0.0, 2.3, -1.0])
def test_a_constant_loss_suggests_nothing(level: float) -> None:
    found = read(np.full(STEPS, level))
    assert (found.suggestion, found.diverges) == (None, None)
    assert "never falls" in found.problem


@pytest.mark.parametrize("losses", [2.3 + 10**LOG, np.full(STEPS, np.nan), np.where(LOG < -6.5, 2.3, np.inf)])
def test_a_curve_that_only_rises_suggests_nothing(losses: Array) -> None:
    found = read(losses)
    assert found.suggestion is None
    assert found.diverges is not None
    assert "without having fallen" in found.problem


def test_a_range_that_ends_too_soon_suggests_nothing() -> None:
    found = read(valley(0.9)[:STEPS] - 3 * np.maximum(LOG + 1, 0) ** 2 + noise(0, 0.01))
    assert found.suggestion is None
    assert "raise --max-lr" in found.problem


def test_a_range_that_begins_too_late_suggests_nothing() -> None:
    found = read(np.maximum(2.3 * np.exp(-np.arange(STEPS) / 15), 3 * np.maximum(LOG + 1, 0) ** 2))
    assert found.suggestion is None
    assert "lower --min-lr" in found.problem


@pytest.mark.parametrize(
    "rates", [[1e-3] * 30, list(np.linspace(0, 1, 30)), geometric(1, 1e-3, 30), geometric(1, 2, 9)]
)
def test_no_range_test(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 20 losses"):
        read_curve(rates, [1.0] * len(rates))


curves = st.tuples(st.integers(0, 10**6), st.floats(-5, -2), st.floats(0, 0.3)).map(
    lambda drawn: valley(drawn[1]) + noise(drawn[0], drawn[2])
)
factors = st.floats(-6, 6).map(lambda power: 10**power)


@settings(max_examples=60, deadline=None)
@given(curves, factors)
def test_a_factor_of_the_loss_changes_nothing(losses: Array, factor: float) -> None:
    one, other = read(losses), read(losses * factor)
    assert (one.begins, one.lowest, one.diverges) == (other.begins, other.lowest, other.diverges)
    assert (one.suggestion, one.problem) == (other.suggestion, other.problem)


@settings(max_examples=60, deadline=None)
@given(curves, factors)
def test_a_factor_of_the_rates_is_one_of_the_suggestion(losses: Array, factor: float) -> None:
    one = read(losses)
    other = read_curve([rate * factor for rate in RATES], losses.tolist())
    for name in ("suggestion", "begins", "lowest", "diverges"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        assert first is None or second == pytest.approx(first * factor)


@settings(max_examples=60, deadline=None)
@given(curves)
def test_what_is_found_stands_in_order(losses: Array) -> None:
    found = read(losses)
    if found.suggestion is not None:
        assert found.begins is not None
        assert found.lowest is not None
        assert found.begins <= found.suggestion <= found.lowest <= (found.diverges or np.inf)
